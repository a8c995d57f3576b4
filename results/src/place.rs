//! Whether a result can be written where it is wanted: to be asked before the work that it is the result of.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::Context as _;

/// Whether a file can be written there. One that is there is left as it is, and none is left behind.
pub fn check(path: &Path) -> anyhow::Result<()> {
    try_to_open(path).with_context(|| format!("cannot write {}", path.display()))
}

fn try_to_open(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(there) if there.is_file() => OpenOptions::new().append(true).open(path).map(drop),
        // A pipe's reader would take the end of the trial for the end of the file.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => try_to_create(path),
        Err(error) => Err(error),
    }
}

fn try_to_create(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => fs::remove_file(path),
        // A link to a file that is not there.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (new, old) = (dir.path().join("new"), dir.path().join("old"));
        fs::write(&old, "what was there before").unwrap();
        check(&new).unwrap();
        check(&old).unwrap();
        check(Path::new("/dev/null")).unwrap();
        assert!(!new.exists());
        assert_eq!(fs::read_to_string(&old).unwrap(), "what was there before");
        for (path, why) in
            [(dir.path().to_owned(), "is a directory"), (new.join("x"), "No such file"), (old.join("x"), "Not a dir")]
        {
            let error = format!("{:#}", check(&path).unwrap_err());
            assert!(error.starts_with(&format!("cannot write {}: ", path.display())) && error.contains(why), "{error}");
        }
    }
}
