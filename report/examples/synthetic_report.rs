//! Writes every file of the report of a synthetic run, to look at them without a run:
//! `cargo run -p galton-report --example synthetic_report -- DIR [RATE_PER_SEC [SECONDS]]`.

#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use std::io;
use std::path::Path;

use galton_report::Report;

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| ".".to_owned());
    let mut number = |default: f64| args.next().and_then(|a| a.parse().ok()).unwrap_or(default);
    let (rate, secs) = (number(150.0), number(120.0) as u64);
    let data = synthetic::run(rate, secs);
    let begin = std::time::Instant::now();
    let report = Report::compute(&data);
    let computed = begin.elapsed();
    let dir = Path::new(&dir);
    std::fs::write(dir.join("result.json"), report.to_json())?;
    std::fs::write(dir.join("report.md"), report.to_markdown())?;
    std::fs::write(dir.join("report.html"), report.to_html(true))?;
    for (name, text) in report.to_csvs() {
        std::fs::write(dir.join(name), text)?;
    }
    println!("{}", report.summary(100, true));
    println!("{} requests: computed in {computed:?}, with files in {:?}", data.trace.len(), begin.elapsed());
    Ok(())
}
