//! Where the results of a run go: a directory, a file of JSON, a terminal.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::builder::{PathBufValueParser, TypedValueParser};
use galton_report::{Report, hlog};
use galton_results::{SUMMARY_WIDTH, colour, machine, new_dir, place};
use galton_runtime::terminal;

use crate::args::OutputArgs;
use crate::settings::UsageError;

/// In the place of a file: stdout.
pub(crate) const STDOUT: &str = "-";
/// `--log-requests` without a path: no path, and not empty, which would be no value to the parser.
pub(crate) const IN_OUTPUT_DIR: &str = "<DIR>/trace.csv";
/// The trace's name in an output directory, as in every run directory.
const TRACE: &str = "trace.csv";
/// The interval log's name.
pub(crate) const LOG: &str = "latency.hlog";

/// Where everything goes.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    dir: Option<PathBuf>,
    json: Option<PathBuf>,
    quiet: bool,
    /// The trace, if one is wanted.
    pub(crate) trace: Option<PathBuf>,
}

/// Whether what is asked for makes sense, before anything is created.
pub(crate) fn check(args: &OutputArgs) -> Result<(), UsageError> {
    let Some(path) = &args.log_requests else { return Ok(()) };
    let text = path.to_string_lossy();
    if text == IN_OUTPUT_DIR && args.output_dir.is_none() {
        return Err(UsageError("--log-requests needs a PATH, or a directory: add --output-dir DIR".to_owned()));
    }
    Ok(())
}

/// Whether the JSON can be written where it is wanted.
pub(crate) fn check_json(path: Option<&Path>) -> anyhow::Result<()> {
    path.filter(|path| *path != Path::new(STDOUT)).map_or(Ok(()), place::check)
}

/// The parser of a file to write to. A flag that can do without one takes the URL behind it for it.
pub(crate) fn file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let text = path.to_string_lossy();
        let authority = text.split('/').next().unwrap_or_default();
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        match text.contains("://") || port.is_some() {
            true => Err("it looks like a URL: put the URL before this flag"),
            false => Ok(path),
        }
    })
}

// === impl Output ===

impl Output {
    /// Makes the directory, if one is wanted, and sees that the file of JSON can be written, before anything is sent. A directory
    /// that has something in it stays as it is: the results go into a new one below.
    pub(crate) fn create(args: &OutputArgs) -> anyhow::Result<Self> {
        let stem = || format!("loadgen-{}", machine::file_name(machine::wall_clock()));
        let dir = args.output_dir.as_deref().map(|dir| new_dir::itself_or_below(dir, &stem())).transpose()?;
        let trace = args.log_requests.clone().map(|path| match &dir {
            Some(dir) if path == Path::new(IN_OUTPUT_DIR) => dir.join(TRACE),
            _ => path,
        });
        check_json(args.json.as_deref())?;
        Ok(Self { dir, json: args.json.clone(), quiet: args.quiet, trace })
    }

    /// For a run of which nothing is kept.
    pub(crate) fn nowhere() -> Self {
        Self { dir: None, json: None, quiet: true, trace: None }
    }

    /// Writes JSON to stdout, or to a file.
    pub(crate) fn write_json(path: &Path, json: &str) -> anyhow::Result<()> {
        if path == Path::new(STDOUT) {
            return terminal::print(json);
        }
        write(path, json)
    }

    /// Of runs that are put together.
    pub(crate) fn of_merged(dir: Option<&Path>, json: Option<&Path>, quiet: bool) -> anyhow::Result<Self> {
        let dir = dir.map(|dir| new_dir::itself_or_below(dir, "merged")).transpose()?;
        Ok(Self { dir, json: json.map(Path::to_owned), quiet, trace: None })
    }

    /// Writes a whole interval log.
    pub(crate) fn write_log(&self, log: &str) -> anyhow::Result<()> {
        self.dir.as_deref().map_or(Ok(()), |dir| write(&dir.join(LOG), log))
    }

    /// The name of the run: that of its directory, or this one.
    pub(crate) fn id(&self, otherwise: &str) -> String {
        let name = self.dir.as_deref().and_then(Path::file_name);
        name.map_or_else(|| otherwise.to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// The interval log, with its head; none: nobody wants one.
    pub(crate) fn log(&self, started_unix_ns: u64) -> anyhow::Result<Option<BufWriter<File>>> {
        let Some(dir) = &self.dir else { return Ok(None) };
        let path = dir.join(LOG);
        let create = || {
            let mut out = BufWriter::new(File::create(&path)?);
            out.write_all(hlog::header(started_unix_ns).as_bytes())?;
            Ok::<_, std::io::Error>(out)
        };
        create().map(Some).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes the files, and says on stdout what the run was, and where they are. What cannot be written keeps nothing else
    /// from being written.
    pub(crate) fn write(&self, report: &Report) -> anyhow::Result<()> {
        let files = self.dir.as_deref().map_or(Ok(()), |dir| write_files(dir, report));
        let json = self.json.as_deref().map_or(Ok(()), |path| Self::write_json(path, &report.to_json()));
        let to_stdout = self.json.as_deref() == Some(Path::new(STDOUT));
        if !self.quiet && !to_stdout {
            terminal::print(report.summary(SUMMARY_WIDTH, colour()))?;
            self.dir.iter().filter(|_| files.is_ok()).for_each(|dir| terminal::say(dir.join("report.html").display()));
        }
        files.and(json)
    }
}

/// The report in every form.
fn write_files(dir: &Path, report: &Report) -> anyhow::Result<()> {
    write(&dir.join("result.json"), &report.to_json())?;
    write(&dir.join("report.md"), &report.to_markdown())?;
    write(&dir.join("report.html"), &report.to_html(true))?;
    report.to_csvs().iter().try_for_each(|(name, content)| write(&dir.join(name), content))
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}
