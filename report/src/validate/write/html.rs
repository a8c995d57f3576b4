//! `validate.html`: the verdicts, and the live runs laid over the ensemble.

use super::plots::anchor;
use super::table;
use super::{NotJudged, ScenarioResult, Validation, Why};
use crate::units::{NOT_AVAILABLE, count, digits, things, utc};
use crate::validity::Verdict;
use crate::write::page::{contents, escape, figure, head, paragraph, scripts, table_html};
use crate::write::tables::{Cell, Table, command_line};

pub(super) fn write(validation: &Validation) -> String {
    let anchors: Vec<String> = validation.scenarios.iter().map(|scenario| anchor(&scenario.name)).collect();
    let names = validation.scenarios.iter().map(|scenario| scenario.name.as_str());
    let sections = [("all", "All scenarios")].into_iter().chain(anchors.iter().map(String::as_str).zip(names));
    let mut page = head("Galton validation", true);
    page.push_str(&banner(validation));
    page.push_str(&contents(sections));
    page.push_str("<main>\n");
    page.push_str(&overview(validation));
    validation.scenarios.iter().for_each(|scenario| page.push_str(&section(scenario)));
    page.push_str("</main>\n");
    let plots = validation.scenarios.iter().flat_map(|scenario| &scenario.plots);
    page.push_str(&scripts(&plots.map(|plot| &plot.spec).collect::<Vec<_>>()));
    page.push_str("</body>\n</html>\n");
    page
}

fn pill(agrees: bool) -> String {
    let (class, word) = if agrees { ("agrees", "AGREES") } else { ("differs", "DIFFERS") };
    badge(class, word)
}

/// Of everything; what was not judged does not agree.
fn whole(validation: &Validation) -> String {
    match (validation.agrees, validation.not_judged.first().map(|one| &one.why)) {
        (Some(agrees), _) => pill(agrees),
        (None, Some(Why::Failed(_))) => badge("suspect", "INCOMPLETE"),
        (None, _) => badge("suspect", "INTERRUPTED"),
    }
}

fn badge(class: &str, word: &str) -> String {
    format!("<span class=\"verdict {class}\">{word}</span>")
}

fn banner(validation: &Validation) -> String {
    format!(
        "<header>\n<div class=\"title\"><h1>Live against simulated</h1>{}</div>\n{}{}\
         <p class=\"command\"><code>{}</code></p>\n</header>\n",
        whole(validation),
        paragraph("lead", &validation.missing().map_or_else(String::new, |missing| missing + ".")),
        paragraph("lead", &setting(validation)),
        escape(&command_line(&validation.command)),
    )
}

/// What was run, in words.
fn setting(validation: &Validation) -> String {
    let profile = match &validation.profile {
        Some(profile) => format!("with the delays of the machine profile {profile}"),
        None => "without a machine profile: the simulated machine adds nothing".to_owned(),
    };
    let believed = validation.sim_set.iter().map(|(key, value)| format!(" {key} = {value}")).collect::<Vec<_>>();
    let believed = match believed.as_slice() {
        [] => String::new(),
        some => format!(" The simulation alone was made to believe{}.", some.join(",")),
    };
    format!(
        "{}, each run live at time scale {} and simulated as an ensemble of {}, {profile}.{believed} Begun {} with Galton {} on {} \
         and Linux {}.",
        things((validation.scenarios.len() + validation.not_judged.len()) as u64, "scenario"),
        digits(validation.time_scale),
        count(validation.ensemble as u64),
        utc(validation.started_unix_ns),
        validation.version,
        things(u64::from(validation.host.cpus), "processor"),
        validation.host.kernel.trim_start_matches("Linux "),
    )
}

/// One row per scenario.
fn overview(validation: &Validation) -> String {
    let mut table = Table::new("", &["scenario", "verdict", "differs in"], &["live runs", "responses"]);
    for scenario in &validation.scenarios {
        let differing = scenario.differing().join(", ");
        let verdict = if scenario.verdicts.agrees { "agrees" } else { "DIFFERS" };
        let fewest = scenario.responses.iter().min().copied().unwrap_or_default();
        let cells = [&scenario.name, verdict, &differing, &count(scenario.live.len() as u64), &count(fewest as u64)];
        table.row(cells.map(Cell::from));
    }
    for NotJudged { name, why } in &validation.not_judged {
        table.row([name, &format!("not judged: {why}"), "", NOT_AVAILABLE, NOT_AVAILABLE].map(Cell::from));
    }
    format!("<section id=\"all\">\n<h2>All scenarios</h2>\n{}</section>\n", table_html(&table))
}

fn section(scenario: &ScenarioResult) -> String {
    let figures: String =
        scenario.plots.iter().map(|plot| figure(&plot.id, plot.title, plot.caption, plot.wide)).collect();
    format!(
        "<section id=\"{}\">\n<div class=\"title\"><h2>{}</h2>{}</div>\n{}{}{}{}<div class=\"plots\">\n{figures}</div>\n\
         </section>\n",
        anchor(&scenario.name),
        escape(&scenario.name),
        pill(scenario.verdicts.agrees),
        paragraph("lead-in", &scenario.sentence),
        paragraph("lead-in", &scenario.description),
        table_html(&table::page(scenario)),
        doubts(scenario),
    )
}

/// What speaks against a live run that was counted all the same.
fn doubts(scenario: &ScenarioResult) -> String {
    let doubtful = scenario.live.iter().filter(|run| run.verdict != Verdict::Valid);
    let mut table = Table::new("Live runs that may have been bent.", &["run", "verdict", "why"], &[]);
    doubtful.for_each(|run| table.row([run.id.clone(), run.verdict.to_string(), run.reasons.join("; ")]));
    if table.rows.is_empty() { String::new() } else { table_html(&table) }
}
