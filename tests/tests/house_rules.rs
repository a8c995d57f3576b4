//! Rules that the compiler does not check: what the pure crates may depend on and name, and which words only `core` knows.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates that decide and compute.
const PURE: [&str; 3] = ["core", "sim", "report"];
/// Crates with a clock, threads, sockets or entropy, none of which a pure crate may reach.
const IMPURE_CRATES: [&str; 9] =
    ["tokio", "hyper", "hyper-util", "rustix", "libc", "memmap2", "mio", "getrandom", "galton-runtime"];
/// What a pure crate may not name.
const IMPURE_WORDS: [&str; 12] = [
    "tokio::",
    "Instant::now",
    "SystemTime",
    "std::time::Instant",
    "thread_rng",
    "rand::rng(",
    "OsRng",
    "from_os_rng",
    "std::env::",
    "std::thread",
    "std::net",
    "std::fs",
];
/// Words of decisions, which the drivers of the machines may not know.
const WORDS_OF_CORE: [&str; 4] = ["retry_limit", "no_capacity", "sync_delay", "idle_window"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// Every source file that is not a test.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}

/// Every place where one of the words occurs outside of comments and of `#[cfg(test)]` modules at a file's end.
fn uses_of(words: &[&str], dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let sources = sources(dir);
    assert!(!sources.is_empty(), "no source in {}", dir.display());
    for path in sources {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (n, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let here = words.iter().filter(|word| line.contains(**word));
            found.extend(here.map(|word| format!("{}:{}: {word}", path.display(), n + 1)));
        }
    }
    found
}

/// Names of all packages that `package` is built with, without those of its tests and build scripts.
fn dependencies(package: &str) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let args = ["tree", "--locked", "--offline", "-e", "normal", "--prefix", "none", "-f", "{p}", "-p", package];
    let out = Command::new(cargo).args(args).current_dir(root()).output().expect("cargo tree");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_pure_crates_depend_on_nothing_impure() {
    for name in PURE {
        let found = dependencies(&format!("galton-{name}"));
        assert!(found.contains(&"serde".to_owned()), "cargo tree has changed its output: {found:?}");
        let bad: Vec<_> = found.iter().filter(|d| IMPURE_CRATES.contains(&d.as_str())).collect();
        assert!(bad.is_empty(), "galton-{name} depends on {bad:?}");
    }
}

#[test]
fn the_pure_crates_name_nothing_impure() {
    for name in PURE {
        let found = uses_of(&IMPURE_WORDS, &root().join(name).join("src"));
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn only_core_knows_the_words_of_its_decisions() {
    for name in ["proxy", "sim", "scaler", "targets"] {
        let found = uses_of(&WORDS_OF_CORE, &root().join(name).join("src"));
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn the_processes_do_not_depend_on_each_other() {
    let processes = ["galton-proxy", "galton-targets", "galton-loadgen", "galton-scaler"];
    for one in processes {
        let found = dependencies(one);
        let others: Vec<_> = processes.iter().filter(|p| **p != one && found.contains(&(**p).to_owned())).collect();
        assert!(others.is_empty(), "{one} depends on {others:?}");
    }
}
