//! `report.html`: the report as a page.

mod cards;
mod plots;

use super::page::{contents, escape, figure, head, paragraph, scripts, table_html};
use super::tables::{Section, sections};
use crate::model::Report;
use crate::validity::Verdict;

pub(super) fn write(report: &Report, with_plots: bool) -> String {
    let sections = sections(report);
    let plots = if with_plots { plots::all(report) } else { Vec::new() };
    let mut page = head(&format!("{} – Galton report", report.run.meta.id), with_plots);
    page.push_str(&banner(report));
    page.push_str(&contents(sections.iter().map(|section| (section.id, section.title))));
    page.push_str("<main>\n");
    page.push_str(&cards::write(report));
    for section in &sections {
        page.push_str(&section_html(section, &plots));
    }
    page.push_str(&scenario(report));
    page.push_str("</main>\n");
    if with_plots {
        page.push_str(&scripts(&plots.iter().map(|plot| &plot.spec).collect::<Vec<_>>()));
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn banner(report: &Report) -> String {
    let class = match report.validity.verdict {
        Verdict::Valid => "valid",
        Verdict::Suspect => "suspect",
        Verdict::Invalid => "invalid",
    };
    format!(
        "<header>\n<div class=\"title\"><h1>{}</h1><a class=\"verdict {class}\" href=\"#verdict\">{}</a></div>\n\
         <p class=\"lead\">{}</p>\n<p class=\"command\"><code>{}</code></p>\n</header>\n",
        escape(&report.run.meta.id),
        report.validity.verdict,
        escape(&report.summary),
        escape(&super::tables::command_line(&report.run.meta.command)),
    )
}

fn section_html(section: &Section, plots: &[plots::Plot]) -> String {
    let intro = paragraph("lead-in", &section.intro);
    let mut html = format!("<section id=\"{}\">\n<h2>{}</h2>\n{intro}", section.id, section.title);
    let own = plots.iter().filter(|plot| plot.section == section.id);
    let own: Vec<String> = own.map(|plot| figure(plot.id, plot.title, &plot.caption, plot.wide)).collect();
    if !own.is_empty() {
        html.push_str(&format!("<div class=\"plots\">\n{}</div>\n", own.concat()));
    }
    for table in section.tables.iter().filter(|table| !table.rows.is_empty()) {
        html.push_str(&table_html(table));
    }
    html.push_str("</section>\n");
    html
}

/// The whole scenario, folded away.
fn scenario(report: &Report) -> String {
    let what = match &report.client {
        Some(_) => "What was asked for, defaults filled in",
        None => "The whole scenario, defaults filled in",
    };
    let text = format!("{:#}", report.scenario);
    format!(
        "<section id=\"scenario\">\n<details><summary>{what}</summary>\n<pre>{}</pre>\n\
         </details>\n</section>\n",
        escape(&text)
    )
}
