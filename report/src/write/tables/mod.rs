//! The sections of a report as tables of text, for every writer that prints tables.

mod figures;
mod head;
mod outcomes;
mod scaling;
mod targets;

use crate::model::{Client, Report};

pub(super) use self::figures::interval;
pub(crate) use self::head::command_line;

/// Rows of a table on a page: what a person may still look through. `result.json` holds them all.
const MOST_ROWS: usize = 200;

/// One section of the report.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// The anchor, and what plots refer to.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What the section says, in a sentence or two.
    pub(super) intro: String,
    pub(super) tables: Vec<Table>,
}

/// One table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// One column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Aligned to the right.
    pub(crate) numeric: bool,
}

/// One cell: its text, and what is printed small beside it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) aside: String,
}

/// All sections, in order.
pub(super) fn sections(report: &Report) -> Vec<Section> {
    if let Some(client) = &report.client {
        return of_client(report, client);
    }
    vec![
        head::validity(report),
        head::run(report),
        outcomes::counts(report),
        outcomes::conservation(report),
        outcomes::retries(report),
        figures::latency(report),
        figures::gauges(report),
        outcomes::free_targets(report),
        scaling::section(report),
        targets::section(report),
    ]
}

/// Without what a client cannot see.
fn of_client(report: &Report, client: &Client) -> Vec<Section> {
    let mut sections = vec![head::validity(report)];
    sections.extend(super::client::slo(report));
    sections.extend([
        head::run(report),
        super::client::load(report, client),
        outcomes::counts(report),
        outcomes::conservation(report),
    ]);
    if !report.retries.is_empty() {
        sections.push(outcomes::retries(report));
    }
    sections.push(figures::latency(report));
    sections
}

// === impl Table ===

impl Table {
    /// With a caption, text columns, then numeric columns.
    pub(crate) fn new(caption: impl Into<String>, text: &[&str], numeric: &[&str]) -> Self {
        let column = |numeric| move |name: &&str| Column { name: (*name).to_owned(), numeric };
        let columns = text.iter().map(column(false)).chain(numeric.iter().map(column(true))).collect();
        Self { caption: caption.into(), columns, rows: Vec::new() }
    }

    pub(crate) fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Cuts a table that nobody would read to its end, and says so.
    fn cut(mut self) -> Self {
        if self.rows.len() > MOST_ROWS {
            let all = crate::units::count(self.rows.len() as u64);
            self.caption = format!("{} The first {MOST_ROWS} of {all} rows; result.json holds them all.", self.caption);
            self.rows.truncate(MOST_ROWS);
        }
        self
    }
}

// === impl Cell ===

impl Cell {
    pub(crate) fn with(text: impl Into<String>, aside: impl Into<String>) -> Self {
        Self { text: text.into(), aside: aside.into() }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, aside: String::new() }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}
