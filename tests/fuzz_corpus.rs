//! Runs what is fuzzed over the inputs that are kept in `fuzz/corpus`, without a fuzzer.

use std::{fs, panic::catch_unwind, path::Path};

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

#[test]
fn no_input_of_the_corpora_breaks_a_promise() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut broken = Vec::new();
    for (target, _) in fuzz::TARGETS {
        let inputs: Vec<_> = fs::read_dir(corpora.join(target))
            .unwrap_or_else(|error| panic!("{target}: {error}"))
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(!inputs.is_empty(), "{target}");
        for path in inputs {
            let input = fs::read(&path).unwrap();
            if catch_unwind(|| fuzz::run(target, &input)).is_err() {
                broken.push(path);
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
