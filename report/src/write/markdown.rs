//! `report.md`: the tables of the report, readable as plain text too.

use super::tables::{Cell, Section, Table, sections};
use crate::model::Report;

pub(super) fn write(report: &Report) -> String {
    let mut text = format!("# {}\n\n{}\n", escape(&report.run.meta.id), escape(&report.summary));
    for section in sections(report) {
        push_section(&mut text, &section);
    }
    text
}

fn push_section(text: &mut String, section: &Section) {
    text.push_str(&format!("\n## {}\n", section.title));
    push_paragraph(text, &section.intro);
    for table in section.tables.iter().filter(|table| !table.rows.is_empty()) {
        push_table(text, table);
    }
}

fn push_paragraph(text: &mut String, paragraph: &str) {
    if !paragraph.is_empty() {
        text.push_str(&format!("\n{}\n", escape(paragraph)));
    }
}

fn push_table(text: &mut String, table: &Table) {
    let names: Vec<String> = table.columns.iter().map(|column| escape(&column.name)).collect();
    let rules: Vec<&str> = table.columns.iter().map(|c| if c.numeric { "---:" } else { "---" }).collect();
    push_paragraph(text, &table.caption);
    text.push_str(&format!("\n| {} |\n|{}|\n", names.join(" | "), rules.join("|")));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
}

fn cell(cell: &Cell) -> String {
    let text = escape(&cell.text);
    match cell.aside.as_str() {
        "" => text,
        interval if interval.starts_with('[') => format!("{text} {interval}"),
        aside => format!("{text} ({})", escape(aside)),
    }
}

/// What would end a cell or begin markup.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '<' | '*' | '_' | '`' | '\\' => safe.extend(['\\', c]),
            '\n' | '\r' => safe.push(' '),
            _ => safe.push(c),
        }
    }
    safe
}
