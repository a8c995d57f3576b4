//! What Galton reads from others, fed with anything: files that people write, lines of other processes, files that a
//! killed process left.
//!
//! A target panics if a reader does, and if what was read is not what is written of it. Which bytes to try is the
//! business of libFuzzer (`fuzz/run.sh`); those that it kept are in `fuzz/corpus` and are tried again by every
//! `cargo test`.

mod files;
mod responses;
mod texts;

/// Reads some bytes.
pub type Target = fn(&[u8]);

/// All targets, by the name of their corpus.
pub const TARGETS: [(&str, Target); 13] = [
    ("book", files::book),
    ("decisions", files::decisions),
    ("foreign_csv", texts::foreign_csv),
    ("headers", galton_proxy::fuzzing::headers),
    ("load_map", files::load_map),
    ("outcome", texts::outcome),
    ("profile", texts::profile),
    ("prometheus", texts::prometheus),
    ("records_csv", texts::records_csv),
    ("response", responses::response),
    ("scenario", texts::scenario),
    ("trace_csv", texts::trace_csv),
    ("watch_line", texts::watch_line),
];
