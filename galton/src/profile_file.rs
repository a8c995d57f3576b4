//! Files of machine profiles: read with every fault named, written whole or not at all, found where `galton calibrate`
//! leaves them. What a profile says is `galton_core::profile`'s business.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use galton_core::profile::Profile;
use galton_core::scenario::Faults;
use serde_json::Value;

use crate::machine;

/// Where a profile is written, and looked for, if no file is named: in the working directory.
pub(crate) const DEFAULT_FILE: &str = "galton-profile.json";
/// Largest file: twelve delays of a thousand numbers have 100 kB.
const MAX_BYTES: u64 = 1 << 20;
/// As of any new file; the process's mask takes away from it.
const MODE: u32 = 0o666;

/// Why a file is no profile. Its text names the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileFileError {
    /// The file could not be read.
    #[error("{}: cannot be read: {why}", path.display())]
    Read { path: PathBuf, why: String },
    /// The file is not JSON.
    #[error("{}: {message}", path.display())]
    Syntax { path: PathBuf, message: String },
    /// The file is not a profile.
    #[error("{}: not a machine profile\n{faults}", path.display())]
    Invalid { path: PathBuf, faults: Faults },
}

/// Reads a profile.
pub(crate) fn read(path: &Path) -> Result<Profile, ProfileFileError> {
    let own = || path.to_owned();
    let text = read_limited(path).map_err(|why| ProfileFileError::Read { path: own(), why })?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| ProfileFileError::Syntax { path: own(), message: error.to_string() })?;
    Profile::from_value(&value).map_err(|faults| ProfileFileError::Invalid { path: own(), faults })
}

/// The profile that [`DEFAULT_FILE`] holds, with its path; none if there is no such file.
pub(crate) fn find_default() -> Result<Option<(PathBuf, Profile)>, ProfileFileError> {
    find(Path::new(""))
}

fn find(dir: &Path) -> Result<Option<(PathBuf, Profile)>, ProfileFileError> {
    let path = dir.join(DEFAULT_FILE);
    if !path.exists() {
        return Ok(None);
    }
    read(&path).map(|profile| Some((path, profile)))
}

/// Writes a profile: a reader sees the file that was there before, or all of the new one.
pub(crate) fn write(path: &Path, profile: &Profile) -> anyhow::Result<()> {
    let run = || {
        let mut file = beside(path)?;
        file.write_all(text(profile)?.as_bytes())?;
        file.as_file().sync_all()?;
        // The other half of its error, the file, says the same again.
        file.persist(path).map_err(|error| error.error)?;
        anyhow::Ok(())
    };
    run().with_context(|| format!("cannot write {}", path.display()))
}

/// Whether a profile can be written there: to be asked before it is measured.
pub(crate) fn check_place(path: &Path) -> anyhow::Result<()> {
    let there = if path.is_dir() { Err(ErrorKind::IsADirectory.into()) } else { Ok(()) };
    there.and_then(|()| beside(path).map(drop)).with_context(|| format!("cannot write {}", path.display()))
}

/// A new file in the same directory, gone when dropped.
fn beside(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new().permissions(Permissions::from_mode(MODE)).tempfile_in(parent)
}

/// Which profile it is, in a line: its file, machine and time, and whether the machine is another one than this.
pub(crate) fn describe(path: &Path, profile: &Profile) -> String {
    let other = if profile.machine == machine::description() { "" } else { "; another machine than this one" };
    let measured = machine::time_of(profile.measured_unix_ns);
    format!("{}: {}, measured {measured}{other}", path.display(), profile.machine)
}

/// A line per field: a delay has a thousand numbers.
fn text(profile: &Profile) -> anyhow::Result<String> {
    let value = serde_json::to_value(profile)?;
    let fields = value.as_object().into_iter().flatten();
    let lines: Vec<String> = fields.map(|(name, value)| format!("  \"{name}\": {value}")).collect();
    Ok(format!("{{\n{}\n}}\n", lines.join(",\n")))
}

fn read_limited(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("larger than {MAX_BYTES} bytes"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use galton_core::profile::{Delay, PROFILE_VERSION};

    use super::*;

    fn profile() -> Profile {
        let delay = |ns| Delay::of(vec![ns, 2 * ns]);
        Profile {
            schema_version: PROFILE_VERSION,
            machine: "a machine".to_owned(),
            measured_unix_ns: 951_782_400_000_000_000,
            send_lag: delay(1),
            client_to_proxy: delay(2),
            pick: delay(3),
            proxy_to_target: delay(4),
            hold_over: delay(5),
            target_to_proxy: delay(6),
            proxy_to_client: delay(7),
            refusal: delay(8),
            wait_over: delay(9),
            ask: delay(10),
            push: delay(11),
            spawn: delay(12),
        }
    }

    #[test]
    fn what_was_written_is_found_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        assert!(find(dir.path()).unwrap().is_none());
        let path = dir.path().join(DEFAULT_FILE);
        std::fs::write(&path, "what was there before").unwrap();
        write(&path, &profile()).unwrap();
        assert_eq!(find(dir.path()).unwrap(), Some((path.clone(), profile())));
        let all: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(all.len(), 1, "no other file is left");
        assert!(
            describe(&path, &profile())
                .ends_with("a machine, measured 2000-02-29T00:00:00Z; another machine than this one")
        );
    }

    #[test]
    fn a_faulty_file_is_refused_by_name_and_field() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path).unwrap_err().to_string()
        };
        let good = text(&profile()).unwrap();
        assert!(
            said(&good.replace("\"schema_version\": 1", "\"schema_version\": 9"))
                .contains("x.json: not a machine profile\nschema_version: must be 1, got 9")
        );
        assert!(said(&good.replace("[11,22]", "[22,11]")).contains("push[1]: must not be below"));
        assert!(said("{").contains("x.json: EOF"));
        assert!(said(&" ".repeat(2 << 20)).contains("x.json: cannot be read: larger than"));
        std::fs::remove_file(&path).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("x.json: cannot be read"));
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let nowhere = Path::new("/nowhere/at/all.json");
        for error in [write(nowhere, &profile()).unwrap_err(), check_place(nowhere).unwrap_err()] {
            assert_eq!(error.to_string(), "cannot write /nowhere/at/all.json");
        }
        let dir = tempfile::tempdir().unwrap();
        for error in [write(dir.path(), &profile()).unwrap_err(), check_place(dir.path()).unwrap_err()] {
            let said = format!("{error:#}").to_lowercase();
            assert_eq!(said.matches("is a directory").count(), 1, "{said}");
        }
    }
}
