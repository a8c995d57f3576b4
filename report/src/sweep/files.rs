//! `sweep.json` and `sweep.csv`.

use super::{Point, Sweep, range};
use crate::replications::{Figures, Replicated};

/// The columns of `sweep.csv`.
const COLUMNS: &str = "series,value,figure,unit,simulated_mean,mean_lo,mean_hi,lowest,highest,live_mean,live_runs,simulated_censored,live_censored";

// === impl Sweep ===

impl Sweep {
    /// `sweep.json`: everything, every single run included. Ends with a newline.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("maps have string keys, and no writer can fail");
        text.push('\n');
        text
    }

    /// `sweep.csv`: a line per value and figure, of all figures there are.
    pub fn to_csv(&self) -> String {
        let mut text = format!("{COLUMNS}\n");
        let series = self.points.iter().map(|point| ("point", point));
        for (series, point) in series.chain(self.references.iter().map(|point| ("reference", point))) {
            Figures::names().for_each(|name| text += &line(series, point, name));
        }
        text
    }
}

fn line(series: &str, point: &Point, name: &str) -> String {
    let Some(simulated) = point.simulated(name) else { return String::new() };
    let live = point.live(name);
    let (lowest, highest) = range(simulated).unzip();
    let numbers = [simulated.mean, simulated.lo, simulated.hi, lowest, highest, live.and_then(|live| live.mean)];
    let numbers = numbers.map(|number| number.map_or_else(String::new, |number| number.to_string())).join(",");
    let (label, unit) = (quoted(&point.label), simulated.unit.suffix());
    let [of_simulated, of_live] = [Some(simulated), live].map(|figure| figure.map_or(0, censored));
    format!("{series},{label},{name},{unit},{numbers},{},{of_simulated},{of_live}\n", live.map_or(0, counted))
}

/// How many runs have the figure.
fn counted(figure: &Replicated) -> usize {
    figure.values.iter().flatten().count()
}

/// In how many runs the figure is a lower bound.
fn censored(figure: &Replicated) -> usize {
    figure.found().filter(|(_, censored)| *censored).count()
}

/// A cell as RFC 4180 wants it.
fn quoted(text: &str) -> String {
    let plain = !text.contains(['"', ',', '\n', '\r']);
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}
