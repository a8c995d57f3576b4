//! What the fuzzer kept is read again.

use std::path::Path;

use galton_fuzz::TARGETS;

#[test]
fn the_corpus_is_read_without_a_finding() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let mut files: Vec<_> =
            std::fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{name}");
        files.sort();
        for file in files {
            let data = std::fs::read(&file).unwrap();
            assert!(std::panic::catch_unwind(|| target(&data)).is_ok(), "{}", file.display());
        }
    }
}

#[test]
fn every_corpus_has_a_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in std::fs::read_dir(corpus).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(TARGETS.iter().any(|(target, _)| **target == *name), "{name:?}");
    }
}
