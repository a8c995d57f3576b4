//! The writers. Markdown and HTML print the same tables; JSON holds everything; CSV the series; the terminal a summary.

mod client;
mod csvs;
mod html;
mod markdown;
pub(crate) mod page;
pub(crate) mod tables;
mod terminal;

use crate::model::Report;

pub(crate) use self::terminal::wrap;

impl Report {
    /// `result.json`: everything, in the schema of [`Report::schema_version`]. Ends with a newline.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("maps have string keys, and no writer can fail");
        text.push('\n');
        text
    }

    /// `report.md`.
    pub fn to_markdown(&self) -> String {
        markdown::write(self)
    }

    /// `report.html`: one file that needs no network. `plots`: whether it draws (`reporting.include_plots`).
    pub fn to_html(&self, plots: bool) -> String {
        html::write(self, plots)
    }

    /// Names and contents of the CSV files.
    pub fn to_csvs(&self) -> Vec<(&'static str, String)> {
        csvs::write(self)
    }

    /// The summary for a terminal of `width` columns: at most 30 lines, each with its end.
    pub fn summary(&self, width: usize, color: bool) -> String {
        terminal::write(self, width, color)
    }
}
