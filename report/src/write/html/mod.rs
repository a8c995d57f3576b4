//! `report.html`: one file that opens from disk without a network. Tables are plain HTML and read without scripts; the
//! plots are drawn by uPlot (1.6.32, MIT, vendored in `assets/`) from data embedded as JSON.

mod cards;
mod plots;

use super::tables::{Cell, Section, Table, sections};
use crate::model::Report;
use crate::validity::Verdict;

const STYLE: &str = include_str!("../../../assets/report.css");
const SCRIPT: &str = include_str!("../../../assets/report.js");
const UPLOT: &str = include_str!("../../../assets/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("../../../assets/uPlot.min.css");
const UPLOT_LICENSE: &str = include_str!("../../../assets/uPlot.LICENSE");

/// Text in a cell beyond this many characters may break over lines.
const LONG_TEXT: usize = 60;

pub(super) fn write(report: &Report, with_plots: bool) -> String {
    let sections = sections(report);
    let plots = if with_plots { plots::all(report) } else { Vec::new() };
    let mut page = head(report, with_plots);
    page.push_str(&banner(report));
    page.push_str(&contents(&sections));
    page.push_str("<main>\n");
    page.push_str(&cards::write(report));
    for section in &sections {
        page.push_str(&section_html(section, &plots));
    }
    page.push_str(&scenario(report));
    page.push_str("</main>\n");
    if with_plots {
        page.push_str(&scripts(&plots));
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn head(report: &Report, with_plots: bool) -> String {
    let uplot = if with_plots { format!("<style>{UPLOT_STYLE}</style>\n") } else { String::new() };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{} – Galton report</title>\n{uplot}<style>\n{STYLE}</style>\n</head>\n<body>\n",
        escape(&report.run.meta.id)
    )
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

fn contents(sections: &[Section]) -> String {
    let link = |s: &Section| format!("<a href=\"#{}\">{}</a>", s.id, s.title);
    format!("<nav aria-label=\"Contents\">{}</nav>\n", sections.iter().map(link).collect::<String>())
}

fn section_html(section: &Section, plots: &[plots::Plot]) -> String {
    let intro = paragraph("lead-in", &section.intro);
    let mut html = format!("<section id=\"{}\">\n<h2>{}</h2>\n{intro}", section.id, section.title);
    let own: Vec<String> = plots.iter().filter(|plot| plot.section == section.id).map(figure).collect();
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
    let text = format!("{:#}", report.scenario);
    format!(
        "<section id=\"scenario\">\n<details><summary>The whole scenario, defaults filled in</summary>\n<pre>{}</pre>\n\
         </details>\n</section>\n",
        escape(&text)
    )
}

fn paragraph(class: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p class=\"{class}\">{}</p>\n", escape(text)) }
}

fn figure(plot: &plots::Plot) -> String {
    let wide = if plot.wide { " class=\"wide\"" } else { "" };
    format!(
        "<figure{wide}><h3>{}</h3><div class=\"plot\" id=\"plot-{}\"></div><figcaption>{}</figcaption></figure>\n",
        escape(plot.title),
        plot.id,
        escape(&plot.caption)
    )
}

fn table_html(table: &Table) -> String {
    let header = |c: &super::tables::Column| {
        format!("<th scope=\"col\"{}>{}</th>", if c.numeric { " class=\"n\"" } else { "" }, escape(&c.name))
    };
    let row = |cells: &Vec<Cell>| {
        let cells = cells.iter().zip(&table.columns).map(|(cell, column)| cell_html(cell, column.numeric));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let headed = table.columns.iter().any(|column| !column.name.is_empty());
    let head = table.columns.iter().map(header).collect::<String>();
    format!(
        "{}<div class=\"table\" tabindex=\"0\"><table>{}<tbody>\n{}</tbody></table></div>\n",
        paragraph("caption", &table.caption),
        if headed { format!("<thead><tr>{head}</tr></thead>") } else { String::new() },
        table.rows.iter().map(row).collect::<String>()
    )
}

fn cell_html(cell: &Cell, numeric: bool) -> String {
    let class = match (numeric, cell.text.chars().count() > LONG_TEXT) {
        (true, _) => " class=\"n\"",
        (false, true) => " class=\"long\"",
        (false, false) => "",
    };
    let aside = if cell.aside.is_empty() { String::new() } else { format!("<small>{}</small>", escape(&cell.aside)) };
    format!("<td{class}>{}{aside}</td>", escape(&cell.text))
}

fn scripts(plots: &[plots::Plot]) -> String {
    let data: Vec<&serde_json::Value> = plots.iter().map(|plot| &plot.spec).collect();
    let data = serde_json::to_string(&data).expect("plots are trees of plain values");
    // A `<` inside of a script element could end it.
    let data = data.replace('<', "\\u003c");
    format!(
        "<script type=\"application/json\" id=\"plots\">{data}</script>\n\
         <script>\n/*\nuPlot\n{UPLOT_LICENSE}\n*/\n{UPLOT}</script>\n<script>\n{SCRIPT}</script>\n"
    )
}

/// Text as HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
