//! The source against `docs/architecture.md`: who may use whom. And the pages against the
//! repository: what they name is there.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

const MAP: &str = include_str!("../docs/architecture.md");
const FRONT_PAGE: &str = include_str!("../src/lib.rs");
/// What marks a use of a module that stands above.
const UPWARD: &str = "↑";
/// Where sources and pages may be; other paths that pages name are not the repository's.
const FOLDERS: [&str; 8] = [
    "benches",
    "docs",
    "examples",
    "fuzz",
    "packaging",
    "src",
    "systemd",
    "tests",
];

/// A row of the map.
struct Module {
    name: String,
    job: String,
    /// With whether it is marked as upward.
    uses: BTreeMap<String, bool>,
}

/// Every match of the first group.
fn found(pattern: &str, text: &str) -> Vec<String> {
    all(&Regex::new(pattern).unwrap(), text)
}

fn all(pattern: &Regex, text: &str) -> Vec<String> {
    let found = pattern.captures_iter(text);
    found.map(|captures| captures[1].to_owned()).collect()
}

fn map() -> Vec<Module> {
    let row = Regex::new(r"(?m)^\| `([a-z]+)` \| (.+) \| (.+) \|$").unwrap();
    let modules = row.captures_iter(MAP).map(|cells| Module {
        name: cells[1].to_owned(),
        job: cells[2].to_owned(),
        uses: cells[3]
            .split(", ")
            .filter(|used| *used != "nothing")
            .map(|used| {
                let name = found("^`([a-z]+)`", used).remove(0);
                (name, used.ends_with(UPWARD))
            })
            .collect(),
    });
    modules.collect()
}

/// Every file below a folder, but for hidden ones, such as the environments of the tests.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn is_of_rust(path: impl AsRef<Path>) -> bool {
    path.as_ref()
        .extension()
        .is_some_and(|ending| ending == "rs")
}

/// The files below `src/` that are no tests, without comments and the tests in them.
fn production() -> Vec<(PathBuf, String)> {
    let comment = Regex::new("//.*").unwrap();
    let files = files(Path::new("src")).into_iter().filter(|file| {
        let mut parts = file.iter().map(|part| part.to_str().unwrap());
        is_of_rust(file) && !parts.any(|part| ["tests", "tests.rs", "testing.rs"].contains(&part))
    });
    files
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code = comment.replace_all(code, "").into_owned();
            (file, code)
        })
        .collect()
}

/// The paths that the code of each module names, such as `crate::vault::Vault` and `std::fs`.
fn paths() -> BTreeMap<String, BTreeSet<String>> {
    // `use crate::{account::{Accounts, name::UserName}, vault};` and the like.
    let import = Regex::new(r"(?s)\buse ([^;]+);").unwrap();
    let in_line = ["([a-z_]+::[a-z_]+)", "([a-z_]+)::"]
        .map(|path| Regex::new(&format!("(?:^|[^:A-Za-z0-9_]){path}")).unwrap());
    let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, code) in production() {
        let below = file.strip_prefix("src").unwrap();
        let module = below.iter().next().unwrap().to_str().unwrap();
        let module = module.trim_end_matches(".rs");
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let named = modules.entry(module.to_owned()).or_default();
        for tree in all(&import, &code) {
            expand("", &tree, named);
        }
        for pattern in &in_line {
            named.extend(all(pattern, &code));
        }
    }
    modules
}

/// The paths of a tree of imports.
fn expand(before: &str, tree: &str, paths: &mut BTreeSet<String>) {
    let tree = tree.trim();
    let Some((head, branches)) = tree.split_once('{') else {
        paths.insert(format!("{before}{tree}"));
        return;
    };
    let before = format!("{before}{}", head.trim());
    let branches = branches.strip_suffix('}').unwrap_or(branches);
    let mut depth = 0;
    let at_this_level = |char: char| {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        char == ',' && depth == 0
    };
    for branch in branches.split(at_this_level) {
        if !branch.trim().is_empty() {
            expand(&before, branch, paths);
        }
    }
}

#[test]
fn every_module_uses_what_the_map_says() {
    let map = map();
    let order: Vec<_> = map.iter().map(|module| module.name.as_str()).collect();
    let declared: BTreeSet<_> = found(r"(?m)^pub mod ([a-z]+);", FRONT_PAGE)
        .into_iter()
        .collect();
    let mapped: BTreeSet<_> = order.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(mapped, declared, "the modules in docs/architecture.md");
    let paths = paths();
    for (place, module) in map.iter().enumerate() {
        let name = &module.name;
        let used: BTreeSet<_> = paths[name]
            .iter()
            .filter_map(|path| path.strip_prefix("crate::")?.split("::").next())
            .filter(|used| used != name)
            .map(str::to_owned)
            .collect();
        let allowed: BTreeSet<_> = module.uses.keys().cloned().collect();
        assert_eq!(
            used, allowed,
            "left what `{name}` uses, right what docs/architecture.md lets it use"
        );
        for (used, is_marked) in &module.uses {
            let is_above = order.iter().position(|other| other == used) < Some(place);
            assert_eq!(
                is_above, *is_marked,
                "`{name}` uses `{used}`: {UPWARD} marks what stands above in the map"
            );
        }
    }
}

#[test]
fn every_crate_has_the_homes_that_the_map_says() {
    let row = Regex::new(r"(?m)^\| `([a-z_:]+)` \| (`[^|]+`) \|$").unwrap();
    let paths = paths();
    let is_below =
        |path: &String, home: &str| path == home || path.starts_with(&format!("{home}::"));
    let mut rows = 0;
    for cells in row.captures_iter(MAP) {
        let name = &cells[1];
        let users: Vec<_> = paths
            .iter()
            .filter(|(_, paths)| paths.iter().any(|path| is_below(path, name)))
            .map(|(module, _)| module.clone())
            .collect();
        let homes = found("`([a-z]+)`", &cells[2]);
        assert_eq!(
            users, homes,
            "left who uses `{name}`, right who may by docs/architecture.md"
        );
        rows += 1;
    }
    assert!(rows > 0);
}

/// Prose may name them: a path has no blanks. What is joined to a path is one in any case; elsewhere
/// the short ones, such as `media`, mean many things.
#[test]
fn only_the_layout_spells_out_names_under_sync_base() {
    const LAYOUT: &str = include_str!("../src/layout.rs");
    let names: BTreeSet<_> = found(r#"pub const [A-Z_]+: &str = "([^"]+)";"#, LAYOUT)
        .iter()
        .flat_map(|path| path.split('/'))
        .map(regex::escape)
        .collect();
    assert!(names.contains("media") && names.contains("host\\-key\\-secret"));
    let names = Vec::from_iter(names).join("|");
    let spelt = [
        r#""((?:[^"\s]*/)?\.anki-syncd(?:/[^"\s]*)?)""#.to_owned(),
        r#""([^"\s]*(?:collection\.anki2|media\.db|devices\.db)[^"\s]*)""#.to_owned(),
        format!(r#"(?:join|ends_with|with_file_name)\(\s*"((?:{names})(?:/[^"]*)?)""#),
    ]
    .map(|pattern| Regex::new(&pattern).unwrap());
    for (file, code) in production() {
        if file.starts_with("src/layout") || file == Path::new("src/layout.rs") {
            continue;
        }
        for pattern in &spelt {
            let spelt = all(pattern, &code);
            assert!(
                spelt.is_empty(),
                "{} spells out {spelt:?}, which src/layout.rs has names for",
                file.display()
            );
        }
    }
}

#[test]
fn the_front_page_tells_the_same() {
    let line = Regex::new(r"(?m)^//! - \[`([a-z]+)`\]\[\]: (.+)\.$").unwrap();
    let told: Vec<_> = line
        .captures_iter(FRONT_PAGE)
        .map(|parts| (parts[1].to_owned(), parts[2].to_owned()))
        .collect();
    let mapped: Vec<_> = map()
        .into_iter()
        .map(|module| (module.name, module.job))
        .collect();
    assert_eq!(told, mapped, "left src/lib.rs, right docs/architecture.md");
}

/// The pages, by their paths.
fn pages() -> Vec<(PathBuf, String)> {
    let pages = [Path::new("."), Path::new("docs")].map(|folder| fs::read_dir(folder).unwrap());
    let pages = pages.into_iter().flatten().map(|entry| {
        let path = entry.unwrap().path();
        path.strip_prefix(".").unwrap_or(&path).to_owned()
    });
    pages
        // It names what was there once.
        .filter(|path| path != Path::new("CHANGELOG.md"))
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    heading
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)").unwrap();
    for (page, text) in pages() {
        for parts in link.captures_iter(&text) {
            let (target, part) = (&parts[1], parts.get(2));
            if target.contains("://") {
                continue;
            }
            let path = match target {
                "" => page.clone(),
                target => page.parent().unwrap().join(target),
            };
            assert!(path.exists(), "{}: {target} is not there", page.display());
            if let Some(part) = part {
                let text = fs::read_to_string(&path).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|heading| anchor(heading) == part.as_str()),
                    "{}: {} has no heading #{}",
                    page.display(),
                    path.display(),
                    part.as_str()
                );
            }
        }
    }
}

#[test]
fn every_path_that_the_pages_name_is_there() {
    let mut named = 0;
    for (page, text) in pages() {
        let in_line = found("`([^`\n]+)`", &text);
        for path in in_line.iter().flat_map(|code| code.split_whitespace()) {
            let first = path.split('/').next().unwrap();
            let is_plain = path
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "./_-".contains(c));
            let is_ours = path.contains('/') && FOLDERS.contains(&first) || is_of_rust(path);
            // What the tests install is in nobody's checkout.
            if is_plain && is_ours && !path.contains("/.venv") {
                let path = Path::new(path);
                assert!(
                    path.exists(),
                    "{} names {}, which is not there",
                    page.display(),
                    path.display()
                );
                named += 1;
            }
        }
    }
    assert!(named > 0);
}

/// Of the pages for those who change the code, which name the test that checks a rule.
#[test]
fn every_test_that_the_pages_name_is_there() {
    let definition = Regex::new(r"(?m)^\s*(?:async )?(?:fn|def) ([a-z0-9_]+)\(").unwrap();
    let tests: BTreeSet<_> = ["src", "tests"]
        .into_iter()
        .flat_map(|folder| files(Path::new(folder)))
        .filter(|path| path.extension().is_some_and(|it| it == "rs" || it == "py"))
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            all(&definition, &text)
        })
        .collect();
    for name in ["architecture", "protocol", "storage"] {
        let page = fs::read_to_string(format!("docs/{name}.md")).unwrap();
        for test in found("`([a-z0-9]+(?:_[a-z0-9]+){4,})`", &page) {
            assert!(
                tests.contains(&test),
                "docs/{name}.md names no test: {test}"
            );
        }
    }
}
