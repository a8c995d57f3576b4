//! What the writers say of a run of which only the load generator is known: no line and no column for what a client cannot see.

mod table;
mod terminal;

pub(super) use self::table::{latency_rows, load, slo};
pub(super) use self::terminal::write as terminal;

use crate::model::Excluded;
use crate::units::{count, time};
use crate::{WarmUp, model::Client};

/// What was left out at the start, in a sentence.
fn warm_up(excluded: &Excluded) -> String {
    let asked = match excluded.asked {
        WarmUp::None => "nothing".to_owned(),
        WarmUp::Time(until) => time(until),
        WarmUp::Requests(n) => format!("{} requests", count(n)),
        WarmUp::Auto if excluded.steady => "auto, settled by MSER-5".to_owned(),
        WarmUp::Auto => "auto, never settled".to_owned(),
    };
    format!("{} requests before {} left out ({asked})", count(excluded.requests), time(excluded.until_ns))
}

/// `200 4,990, 500 10`.
fn statuses(client: &Client) -> String {
    let each = client.statuses.iter().map(|(status, n)| format!("{status} × {}", count(*n)));
    each.collect::<Vec<_>>().join(", ")
}

/// `1.23 MB`.
fn bytes(n: f64) -> String {
    let (value, unit) = match n {
        n if n < 1e3 => (n, "B"),
        n if n < 1e6 => (n / 1e3, "kB"),
        n if n < 1e9 => (n / 1e6, "MB"),
        n => (n / 1e9, "GB"),
    };
    format!("{} {unit}", crate::units::digits(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_and_a_unit() {
        let table = [(35.5, "35.5 B"), (1_234.0, "1.23 kB"), (1.56e6, "1.56 MB"), (12.34e9, "12.3 GB")];
        for (n, text) in table {
            assert_eq!(bytes(n), text);
        }
    }
}
