//! Which machine profile applies.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use galton_core::profile::Profile;

/// Where a profile is looked for, if no file is named: in the working directory.
const DEFAULT_FILE: &str = "galton-profile.json";

/// A profile, and which one it is in words.
#[derive(Debug)]
pub(super) struct NamedProfile {
    pub(super) profile: Profile,
    pub(super) description: String,
}

/// The profile asked for, or the one that lies in the working directory; none: there is none, or none is wanted.
pub(super) fn choose(file: Option<&Path>, none: bool) -> anyhow::Result<Option<NamedProfile>> {
    let default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists());
    let file = if none { None } else { file.map(Path::to_owned).or_else(default) };
    file.map(|path| read(&path)).transpose()
}

/// What to say where there is none and one is wanted.
pub(super) fn missing() -> String {
    format!(
        "galton: no machine profile {DEFAULT_FILE}: measure one with galton calibrate, name one with --profile, or \
             simulate a machine that adds nothing with --no-profile"
    )
}

fn read(path: &Path) -> anyhow::Result<NamedProfile> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let profile: Profile = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let description = format!("{}: {}", path.display(), profile.machine);
    Ok(NamedProfile { profile, description })
}
