//! Children: how a process announces itself to its parent, follows it into death, and how a parent starts one.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use galton_core::wire::Announce;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::telemetry;

/// How much of a failed child's log an error shows: its last lines, within so many bytes.
const TAIL_LINES: usize = 10;
const TAIL_BYTES: u64 = 4096;
/// How long a child whose stdout has ended may take to exit, so that the error can name its status.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// Prints the announcement as one JSON line on stdout and flushes it.
pub fn announce(announce: &Announce) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, announce)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Whether this environment variable stands for a flag: those of a parent are not its children's, whose flags say all.
fn is_setting(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with("GALTON_") && name != telemetry::LOG_VARIABLE
}

/// A child process that announced itself.
#[derive(Debug)]
pub struct Child {
    /// What it announced.
    pub announce: Announce,
    /// The process. Its exit is to be waited for; dropping this neither kills nor reaps it.
    pub process: tokio::process::Child,
    /// Its further lines on stdout. Whoever expects many must read them, or the child blocks.
    pub lines: Lines<BufReader<ChildStdout>>,
    /// Its stdin, apart from `process`, whose `wait` would close it. Closed when this is dropped or the parent dies; the
    /// child then stops at once.
    pub lifeline: ChildStdin,
}

/// Starts `program` with `args` (which must contain `--lifeline`) in a process group of its own, so that Ctrl-C reaches
/// the conductor alone; stderr goes to the file `log` (appended), or is inherited. Waits for the announcement until
/// `deadline` from now. On failure the error holds the last lines of the log, and the child is killed.
pub async fn spawn(program: &Path, args: &[String], log: Option<PathBuf>, deadline: Duration) -> anyhow::Result<Child> {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    let mut process = command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log.as_deref().map_or_else(|| Ok(Stdio::inherit()), |path| open_log(path).map(Stdio::from))?)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let lifeline = process.stdin.take().expect("stdin is piped");
    let mut lines = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
    let announced = match tokio::time::timeout(deadline, announcement(&mut lines)).await {
        Ok(announced) => announced,
        Err(_) => Err(anyhow!("did not announce itself within {} s", deadline.as_secs_f64())),
    };
    match announced {
        Ok(announce) => Ok(Child { announce, process, lines, lifeline }),
        Err(error) => Err(failure(error, program, args, process, log.as_deref()).await),
    }
}

fn open_log(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot write the log {}", path.display()))
}

async fn announcement(lines: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<Announce> {
    let line = lines.next_line().await.context("stdout cannot be read")?;
    let line = line.ok_or_else(|| anyhow!("ended without announcing itself"))?;
    serde_json::from_str(&line).with_context(|| format!("announced itself with {line:?}"))
}

/// Ends the child and says all that is known about why it failed.
async fn failure(
    error: anyhow::Error,
    program: &Path,
    args: &[String],
    mut process: tokio::process::Child,
    log: Option<&Path>,
) -> anyhow::Error {
    let status = match tokio::time::timeout(EXIT_WAIT, process.wait()).await {
        Ok(status) => status.ok(),
        Err(_) => {
            // It hangs; an error here means that it has just ended after all.
            process.kill().await.ok();
            None
        }
    };
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    error.context(describe(&name, args, status, log))
}

fn describe(name: &str, args: &[String], status: Option<ExitStatus>, log: Option<&Path>) -> String {
    let mut what = format!("{name} {} did not come up", args.join(" "));
    let mut add = |part: std::fmt::Arguments<'_>| what.write_fmt(part).expect("a String takes everything");
    if let Some(status) = status {
        add(format_args!(" ({status})"));
    }
    if let Some(tail) = log.and_then(|path| tail(path).ok()).filter(|tail| !tail.is_empty()) {
        add(format_args!("; its log ends with:\n{tail}"));
    }
    what
}

/// The last lines of a file.
fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOUNCE: &str = r#"{"role":"target","data":"127.0.0.1:1","admin":"127.0.0.1:2","pid":7}"#;

    fn start(
        script: &str,
        log: Option<PathBuf>,
        deadline: Duration,
    ) -> anyhow::Result<(Child, tokio::runtime::Runtime)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let args = ["-c".to_owned(), script.to_owned()];
        let child = runtime.block_on(spawn(Path::new("/bin/sh"), &args, log, deadline))?;
        Ok((child, runtime))
    }

    #[test]
    fn a_child_announces_itself_and_ends_with_its_lifeline() {
        let script = format!("echo '{ANNOUNCE}'; echo more; cat; echo end");
        let (mut child, runtime) = start(&script, None, Duration::from_secs(20)).unwrap();
        assert_eq!((child.announce.role.as_str(), child.announce.pid), ("target", 7));
        runtime.block_on(async {
            assert_eq!(child.lines.next_line().await.unwrap().as_deref(), Some("more"));
            let waited = tokio::time::timeout(Duration::from_millis(50), child.process.wait()).await;
            assert!(waited.is_err(), "waiting must not close the lifeline");
            drop(child.lifeline);
            assert_eq!(child.lines.next_line().await.unwrap().as_deref(), Some("end"));
            assert!(child.process.wait().await.unwrap().success());
        });
    }

    #[test]
    fn the_error_of_a_child_that_dies_holds_the_tail_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = "for i in 1 2 3 4 5 6 7 8 9 10 11; do echo line $i >&2; done; exit 3";
        let error = format!("{:#}", start(script, Some(log), Duration::from_secs(20)).unwrap_err());
        assert!(error.contains("exit status: 3") && error.contains("line 2\n") && error.contains("line 11"), "{error}");
        assert!(!error.contains("line 1\n"), "{error}");
        assert!(error.contains("ended without announcing itself"), "{error}");
    }

    #[test]
    fn a_child_that_says_nothing_is_killed_at_the_deadline() {
        let error = format!("{:#}", start("exec sleep 600", None, Duration::from_millis(50)).unwrap_err());
        assert!(error.contains("did not announce itself within 0.05 s"), "{error}");
    }

    #[test]
    fn a_child_that_announces_nonsense_is_refused() {
        let error = format!("{:#}", start("echo hello", None, Duration::from_secs(20)).unwrap_err());
        assert!(error.contains("announced itself with \"hello\""), "{error}");
    }
}
