//! What every page of Galton's has: one file that opens from disk without a network. Tables are plain HTML and read without
//! scripts; the plots are drawn by uPlot (1.6.32, MIT, vendored in `assets/`) from data embedded as JSON.

use serde_json::{Value, json};

use super::tables::{Cell, Column, Table};

const STYLE: &str = include_str!("../../assets/report.css");
const SCRIPT: &str = include_str!("../../assets/report.js");
const UPLOT: &str = include_str!("../../assets/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("../../assets/uPlot.min.css");
const UPLOT_LICENSE: &str = include_str!("../../assets/uPlot.LICENSE");

/// Text in a cell beyond this many characters may break over lines.
const LONG_TEXT: usize = 60;

/// Everything before the body's content. `title` is text.
pub(crate) fn head(title: &str, with_plots: bool) -> String {
    let uplot = if with_plots { format!("<style>{UPLOT_STYLE}</style>\n") } else { String::new() };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n{uplot}<style>\n{STYLE}</style>\n</head>\n<body>\n",
        escape(title)
    )
}

/// Links to the sections: ids and titles.
pub(crate) fn contents<'a>(sections: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let link = |(id, title): (&str, &str)| format!("<a href=\"#{id}\">{}</a>", escape(title));
    format!("<nav aria-label=\"Contents\">{}</nav>\n", sections.map(link).collect::<String>())
}

/// A paragraph of text; nothing if there is none.
pub(crate) fn paragraph(class: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p class=\"{class}\">{}</p>\n", escape(text)) }
}

/// The place of a plot, with its title and caption. `wide`: over the whole width of the page.
pub(crate) fn figure(id: &str, title: &str, caption: &str, wide: bool) -> String {
    let wide = if wide { " class=\"wide\"" } else { "" };
    format!(
        "<figure{wide}><h3>{}</h3><div class=\"plot\" id=\"plot-{id}\"></div><figcaption>{}</figcaption></figure>\n",
        escape(title),
        escape(caption)
    )
}

/// A table with its caption.
pub(crate) fn table_html(table: &Table) -> String {
    let header = |c: &Column| {
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

/// One line of a plot, or set of points or bars.
pub(crate) fn series(label: &str, color: &str, style: &str, values: Vec<Value>) -> Value {
    json!({"label": label, "color": color, "style": style, "values": values})
}

/// A number, rounded to what a screen shows; none as null.
pub(crate) fn number(value: Option<f64>) -> Value {
    match value {
        Some(v) => json!((v * 1e4).round() / 1e4),
        None => Value::Null,
    }
}

/// The plots' data, and the scripts that draw them.
pub(crate) fn scripts(plots: &[&Value]) -> String {
    let data = serde_json::to_string(plots).expect("plots are trees of plain values");
    // A `<` inside of a script element could end it.
    let data = data.replace('<', "\\u003c");
    format!(
        "<script type=\"application/json\" id=\"plots\">{data}</script>\n\
         <script>\n/*\nuPlot\n{UPLOT_LICENSE}\n*/\n{UPLOT}</script>\n<script>\n{SCRIPT}</script>\n"
    )
}

/// Text as HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
