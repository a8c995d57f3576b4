//! Verdict, and which run it is.

use galton_core::Nanos;

use super::{Cell, Section, Table};
use crate::input::Kind;
use crate::model::Report;
use crate::units::{NOT_AVAILABLE, count, time, utc};
use crate::validity::Verdict;

pub(super) fn validity(report: &Report) -> Section {
    let validity = &report.validity;
    let intro = match validity.verdict {
        Verdict::Valid => "Nothing speaks against the figures below.",
        Verdict::Suspect => "Something may have bent the figures below.",
        Verdict::Invalid => "The figures below do not say what they claim to.",
    };
    let mut table = Table::new("Reasons.", &["reason", "weight", "what"], &["found", "limit"]);
    for r in &validity.reasons {
        let (severity, value, limit) = (r.severity.to_string(), r.value.to_string(), r.limit.to_string());
        table.row([r.code.clone(), severity, r.text.clone(), value, limit]);
    }
    let tables = if table.rows.is_empty() { Vec::new() } else { vec![table] };
    Section { id: "verdict", title: "Verdict", intro: format!("{}. {intro}", validity.verdict), tables }
}

pub(super) fn run(report: &Report) -> Section {
    let meta = &report.run.meta;
    let mut table = Table::new("", &["", ""], &[]);
    let kind = match report.kind {
        Kind::Live if report.client.is_some() => "a load generator's own, against one server",
        Kind::Live => "live, on real processes",
        Kind::Simulated => "simulated",
    };
    let simulation = &report.scenario["simulation"];
    let ms = |key: &str| simulation[key].as_f64().map(|ms| time(Nanos::from_millis_f64(ms)));
    let known = |text: &str| if text.is_empty() { NOT_AVAILABLE.to_owned() } else { text.to_owned() };
    let host = &meta.host;
    table.row(["run", &meta.id]);
    table.row(["kind", kind]);
    table.row(["seed", &report.run.seed.to_string()]);
    table.row([Cell::from("command"), Cell::from(known(&command_line(&meta.command)))]);
    if report.client.is_none() {
        let (duration, warm_up) = (ms("duration_ms").unwrap_or_default(), ms("warmup_ms").unwrap_or_default());
        table.row([Cell::from("duration"), Cell::from(duration)]);
        table.row([Cell::from("warm-up, left out of the statistics"), Cell::from(warm_up)]);
        table.row(["time scale", &format!("{} scenario seconds per second", meta.time_scale)]);
    }
    table.row(["machine", &format!("{} CPUs, {}, {}", host.cpus, known(&host.cpu_model), known(&host.kernel))]);
    table.row(["version", &meta.version]);
    if report.client.is_none() || !meta.plan_sha256.is_empty() {
        table.row(["plan (SHA-256)", &known(&meta.plan_sha256)]);
    }
    table.row(["started", &utc(meta.started_unix_ns)]);
    if let Some(users) = report.run.users {
        let ends = format!(
            "{} spent the budget, {} reached the end, {} completed their session, {} cancelled, {} unfinished",
            count(users.budget_exhausted),
            count(users.horizon),
            count(users.completed),
            count(users.cancelled),
            count(users.unfinished)
        );
        table.row(["users", &ends]);
    }
    Section { id: "run", title: "Run", intro: String::new(), tables: vec![table] }
}

/// The command as a shell takes it.
pub(crate) fn command_line(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let quote = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_the_shell() {
        let words = ["galton", "run", "my file.json", "--set", "a=it's"].map(str::to_owned);
        assert_eq!(command_line(&words), r"galton run 'my file.json' --set 'a=it'\''s'");
    }
}
