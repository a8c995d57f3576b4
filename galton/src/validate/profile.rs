//! Which machine profile applies.

use std::path::{Path, PathBuf};

use galton_core::profile::Profile;

use crate::profile_file::{self, DEFAULT_FILE, ProfileFileError};

/// A profile, and which one it is in words.
#[derive(Debug)]
pub(super) struct NamedProfile {
    pub(super) profile: Profile,
    pub(super) description: String,
}

/// The profile asked for, or the one that lies in the working directory; none: there is none, or none is wanted.
pub(super) fn choose(file: Option<&Path>, none: bool) -> Result<Option<NamedProfile>, ProfileFileError> {
    let found = match file {
        _ if none => None,
        Some(file) => Some((file.to_owned(), profile_file::read(file)?)),
        None => profile_file::find_default()?,
    };
    let named = |(path, profile): (PathBuf, Profile)| NamedProfile {
        description: profile_file::describe(&path, &profile),
        profile,
    };
    Ok(found.map(named))
}

/// What to say where there is none and one is wanted.
pub(super) fn missing() -> String {
    format!(
        "galton: no machine profile {DEFAULT_FILE}: measure one with galton calibrate, name one with --profile, or \
         simulate a machine that adds nothing with --no-profile"
    )
}
