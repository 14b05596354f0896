//! Converts between a client's notetype and its rows.

use crate::{
    collection::{
        other,
        proto::{CardRequirement, FieldConfig, NotetypeConfig, TemplateConfig},
    },
    wire::{
        Usn,
        notetype::{Field, Notetype, NotetypeKind, Requirement, RequirementKind, Template},
    },
};

const CLOZE: i32 = 1;
const ANY: i32 = 1;
const ALL: i32 = 2;

/// Name and blob of the notetype itself, of its fields and of its templates.
pub(super) type Rows = (
    String,
    NotetypeConfig,
    Vec<(String, FieldConfig)>,
    Vec<(String, TemplateConfig)>,
);

pub(super) fn to_rows(notetype: Notetype) -> Rows {
    let config = NotetypeConfig {
        kind: match notetype.kind {
            NotetypeKind::Normal => 0,
            NotetypeKind::Cloze => CLOZE,
        },
        sort_field_idx: notetype.sort_field.into(),
        css: notetype.css,
        target_deck_id_unused: notetype.did.unwrap_or(0),
        latex_pre: notetype.latex_pre,
        latex_post: notetype.latex_post,
        latex_svg: notetype.latex_svg,
        reqs: notetype.req.into_iter().map(to_requirement).collect(),
        original_stock_kind: notetype.original_stock_kind,
        original_id: notetype.original_id,
        other: other::pack(&notetype.other),
    };
    let fields = notetype.fields.into_iter().map(to_field).collect();
    let templates = notetype.templates.into_iter().map(to_template).collect();
    (notetype.name, config, fields, templates)
}

fn to_requirement(requirement: Requirement) -> CardRequirement {
    CardRequirement {
        card_ord: requirement.card_ord.into(),
        kind: match requirement.kind {
            RequirementKind::None => 0,
            RequirementKind::Any => ANY,
            RequirementKind::All => ALL,
        },
        field_ords: requirement.field_ords.into_iter().map(u32::from).collect(),
    }
}

fn to_field(field: Field) -> (String, FieldConfig) {
    let config = FieldConfig {
        sticky: field.sticky,
        rtl: field.rtl,
        font_name: field.font,
        font_size: field.size.into(),
        description: field.description,
        plain_text: field.plain_text,
        collapsed: field.collapsed,
        exclude_from_search: field.exclude_from_search,
        id: field.id,
        tag: field.tag,
        prevent_deletion: field.prevent_deletion,
        other: other::pack(&field.other),
    };
    (field.name, config)
}

fn to_template(template: Template) -> (String, TemplateConfig) {
    let config = TemplateConfig {
        q_format: template.question,
        a_format: template.answer,
        q_format_browser: template.browser_question,
        a_format_browser: template.browser_answer,
        target_deck_id: template.did.unwrap_or(0),
        browser_font_name: template.browser_font,
        browser_font_size: template.browser_size.into(),
        id: template.id,
        other: other::pack(&template.other),
    };
    (template.name, config)
}

/// A notetype with everything in its own blob.
pub(super) fn from_config(config: NotetypeConfig) -> Notetype {
    Notetype {
        id: 0,
        name: String::new(),
        kind: if config.kind == CLOZE {
            NotetypeKind::Cloze
        } else {
            NotetypeKind::Normal
        },
        mtime_secs: 0,
        usn: Usn(0),
        sort_field: low_u16(config.sort_field_idx),
        did: Some(config.target_deck_id_unused).filter(|id| *id != 0),
        templates: Vec::new(),
        fields: Vec::new(),
        css: config.css,
        latex_pre: config.latex_pre,
        latex_post: config.latex_post,
        latex_svg: config.latex_svg,
        req: config.reqs.into_iter().map(from_requirement).collect(),
        original_stock_kind: config.original_stock_kind,
        original_id: config.original_id,
        other: other::unpack(&config.other, &Notetype::KEYS),
    }
}

fn from_requirement(requirement: CardRequirement) -> Requirement {
    Requirement {
        card_ord: low_u16(requirement.card_ord),
        kind: match requirement.kind {
            ANY => RequirementKind::Any,
            ALL => RequirementKind::All,
            _ => RequirementKind::None,
        },
        field_ords: requirement.field_ords.into_iter().map(low_u16).collect(),
    }
}

pub(super) fn field(ord: u32, name: String, config: FieldConfig) -> Field {
    Field {
        name,
        ord: Some(low_u16(ord)),
        sticky: config.sticky,
        rtl: config.rtl,
        font: config.font_name,
        size: low_u16(config.font_size),
        description: config.description,
        plain_text: config.plain_text,
        collapsed: config.collapsed,
        exclude_from_search: config.exclude_from_search,
        id: config.id,
        tag: config.tag,
        prevent_deletion: config.prevent_deletion,
        other: other::unpack(&config.other, &Field::KEYS),
    }
}

pub(super) fn template(ord: u32, name: String, config: TemplateConfig) -> Template {
    Template {
        name,
        ord: Some(low_u16(ord)),
        question: config.q_format,
        answer: config.a_format,
        browser_question: config.q_format_browser,
        browser_answer: config.a_format_browser,
        did: Some(config.target_deck_id).filter(|id| *id > 0),
        browser_font: config.browser_font_name,
        browser_size: low_u8(config.browser_font_size),
        id: config.id,
        other: other::unpack(&config.other, &Template::KEYS),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clients do the same")]
fn low_u16(number: u32) -> u16 {
    number as u16
}

#[expect(clippy::cast_possible_truncation, reason = "clients do the same")]
fn low_u8(number: u32) -> u8 {
    number as u8
}
