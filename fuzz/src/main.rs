//! The fuzzer: libFuzzer with the target that `GALTON_FUZZ` names. `fuzz/run.sh` builds and runs it.

#![no_main]

use std::sync::LazyLock;

use galton_fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("GALTON_FUZZ").unwrap_or_default();
    let names = TARGETS.map(|(name, _)| name);
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).unwrap_or_else(|| {
        eprintln!("GALTON_FUZZ must be one of {names:?}");
        std::process::exit(2);
    });
    target
});

fuzz_target!(|data: &[u8]| TARGET(data));
