//! Runs what is fuzzed over the inputs that are kept in `fuzz/corpus`, without a fuzzer.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
};

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

#[test]
fn no_input_of_the_corpora_breaks_a_promise() {
    let inputs = Mutex::new(inputs());
    let broken = Mutex::new(Vec::new());
    let work = || {
        loop {
            // Of its own, so that it is unlocked while the input is tried.
            let next = inputs.lock().unwrap().pop();
            let Some((target, path)) = next else { return };
            let input = fs::read(&path).unwrap();
            if catch_unwind(|| fuzz::run(target, &input)).is_err() {
                broken.lock().unwrap().push(path);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(work);
        }
    });
    let broken = broken.into_inner().unwrap();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Each with the name of its target.
fn inputs() -> Vec<(&'static str, PathBuf)> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut all = Vec::new();
    for (target, _) in fuzz::TARGETS {
        let files = fs::read_dir(corpora.join(target))
            .unwrap_or_else(|error| panic!("{target}: {error}"))
            .map(|entry| (target, entry.unwrap().path()));
        let before = all.len();
        all.extend(files);
        assert!(all.len() > before, "{target}");
    }
    all
}
