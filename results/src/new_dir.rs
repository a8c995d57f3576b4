//! New directories for results: none is ever written over.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// How often a name that is taken is tried again with a number behind it.
const MOST_NAMES: u32 = 1000;

/// Makes `<parent>/<stem>/`, with a number behind its name if there is one already; its path and its name.
pub fn below(parent: &Path, stem: &str) -> anyhow::Result<(PathBuf, String)> {
    std::fs::create_dir_all(parent).with_context(|| format!("cannot create the directory {}", parent.display()))?;
    for n in 1..=MOST_NAMES {
        let id = if n == 1 { stem.to_owned() } else { format!("{stem}-{n}") };
        let path = parent.join(&id);
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok((path, id)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
        }
    }
    anyhow::bail!("{} has {MOST_NAMES} runs named {stem}", parent.display())
}

/// `dir` itself, made if it is not there; if there is something in it, a new directory below it.
pub fn itself_or_below(dir: &Path, stem: &str) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create the directory {}", dir.display()))?;
    let mut entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    if entries.next().is_none() { Ok(dir.to_owned()) } else { Ok(below(dir, stem)?.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_second_get_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let ids: Vec<String> = (0..3).map(|_| below(dir.path(), "x-1").unwrap().1).collect();
        assert_eq!(ids, ["x-1", "x-1-2", "x-1-3"]);
    }

    #[test]
    fn an_empty_directory_is_taken_and_a_full_one_gets_another_inside() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = dir.path().join("a").join("b");
        assert_eq!(itself_or_below(&wanted, "x").unwrap(), wanted);
        std::fs::write(wanted.join("result.json"), "{}").unwrap();
        assert_eq!(itself_or_below(&wanted, "x").unwrap(), wanted.join("x"));
        assert_eq!(itself_or_below(&wanted, "x").unwrap(), wanted.join("x-2"));
    }
}
