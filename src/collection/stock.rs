//! The notetypes of a new collection.

use prost::Message;
use rusqlite::Connection;
use sha1::{Digest, Sha1};

use super::{
    Result,
    proto::{CardRequirement, FieldConfig, NotetypeConfig, TemplateConfig},
};

const CSS: &str = "\
.card {
    font-family: sans-serif;
    font-size: 20px;
    line-height: 1.5;
    text-align: center;
}
";
const CLOZE_CSS: &str = "
.cloze {
    color: #2060c0;
    font-weight: bold;
}
.nightMode .cloze {
    color: #80b0ff;
}
";
const LATEX_PRE: &str = "\
\\documentclass[12pt]{article}
\\usepackage[utf8]{inputenc}
\\usepackage{amsmath,amssymb}
\\pagestyle{empty}
\\setlength{\\parindent}{0pt}
\\begin{document}
";
const LATEX_POST: &str = "\\end{document}";

/// The rule for the fields that a template needs to make a card.
const ANY_OF: i32 = 1;

struct Stock {
    name: &'static str,
    cloze: bool,
    /// Its number in `original_stock_kind`; clients restore the notetype by it.
    number: i32,
    fields: &'static [&'static str],
    /// Name, question, answer, and the field that must not be empty.
    templates: &'static [(&'static str, &'static str, &'static str, u32)],
}

const STOCK: [Stock; 3] = [
    Stock {
        name: "Basic",
        cloze: false,
        number: 1,
        fields: &["Front", "Back"],
        templates: &[(
            "Card 1",
            "{{Front}}",
            "{{FrontSide}}\n<hr id=answer>\n{{Back}}",
            0,
        )],
    },
    Stock {
        name: "Basic (and reversed card)",
        cloze: false,
        number: 2,
        fields: &["Front", "Back"],
        templates: &[
            (
                "Card 1",
                "{{Front}}",
                "{{FrontSide}}\n<hr id=answer>\n{{Back}}",
                0,
            ),
            (
                "Card 2",
                "{{Back}}",
                "{{FrontSide}}\n<hr id=answer>\n{{Front}}",
                1,
            ),
        ],
    },
    Stock {
        name: "Cloze",
        cloze: true,
        number: 5,
        fields: &["Text", "Back Extra"],
        templates: &[(
            "Cloze",
            "{{cloze:Text}}",
            "{{cloze:Text}}\n<br>\n{{Back Extra}}",
            0,
        )],
    },
];

/// Adds the notetypes with consecutive ids from `first_id` on.
pub(super) fn add(conn: &Connection, first_id: i64) -> Result<()> {
    for (id, stock) in (first_id..).zip(&STOCK) {
        conn.execute(
            "insert into notetypes (id, name, mtime_secs, usn, config) values (?, ?, 0, 0, ?)",
            (id, stock.name, stock.config().encode_to_vec()),
        )?;
        for (ord, name) in (0_u32..).zip(stock.fields) {
            conn.execute(
                "insert into fields (ntid, ord, name, config) values (?, ?, ?, ?)",
                (id, ord, name, stock.field(id, name).encode_to_vec()),
            )?;
        }
        for (ord, (name, question, answer, _)) in (0_u32..).zip(stock.templates) {
            let config = TemplateConfig {
                q_format: (*question).to_owned(),
                a_format: (*answer).to_owned(),
                id: Some(part_id(id, "template", name)),
                ..TemplateConfig::default()
            };
            conn.execute(
                "insert into templates (ntid, ord, name, mtime_secs, usn, config) values (?, ?, ?, 0, 0, ?)",
                (id, ord, name, config.encode_to_vec()),
            )?;
        }
    }
    Ok(())
}

impl Stock {
    fn config(&self) -> NotetypeConfig {
        NotetypeConfig {
            kind: i32::from(self.cloze),
            css: if self.cloze {
                [CSS, CLOZE_CSS].concat()
            } else {
                CSS.to_owned()
            },
            latex_pre: LATEX_PRE.to_owned(),
            latex_post: LATEX_POST.to_owned(),
            reqs: (0..)
                .zip(self.templates)
                .map(|(card_ord, (.., field))| CardRequirement {
                    card_ord,
                    kind: ANY_OF,
                    field_ords: vec![*field],
                })
                .collect(),
            original_stock_kind: self.number,
            ..NotetypeConfig::default()
        }
    }

    fn field(&self, notetype_id: i64, name: &str) -> FieldConfig {
        let first = self.fields[0] == name;
        FieldConfig {
            font_name: "Arial".to_owned(),
            font_size: 20,
            id: Some(part_id(notetype_id, "field", name)),
            // Clients find the text of a cloze note by these marks, even if the field was renamed.
            tag: self.cloze.then_some(u32::from(!first)),
            prevent_deletion: self.cloze && first,
            ..FieldConfig::default()
        }
    }
}

/// A number by which clients recognise a field or template after it was renamed or moved.
fn part_id(notetype_id: i64, kind: &str, name: &str) -> i64 {
    let digest = Sha1::digest(format!("{notetype_id} {kind} {name}"));
    digest
        .iter()
        .take(8)
        .fold(0, |id, byte| id << 8 | i64::from(*byte))
}
