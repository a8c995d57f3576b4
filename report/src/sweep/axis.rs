//! What an axis says: which unit a figure is drawn in, where the axis begins and ends, how a key reads in words.

use crate::replications::Unit;

/// Room above the highest and below the lowest value, as a share of what lies between.
const MARGIN: f64 = 0.08;
/// An axis begins at 0 unless all values are above this share of the largest one: then the differences would vanish.
const FAR_FROM_ZERO: f64 = 0.6;

/// The unit that a panel's numbers are drawn in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// What stands behind the figure's name; empty: nothing.
    pub(super) unit: &'static str,
    /// How many of the figure's own unit make one of these.
    pub(super) size: f64,
}

// === impl Scale ===

impl Scale {
    /// For numbers up to `most`.
    pub(super) fn of(unit: Unit, most: f64) -> Self {
        let (unit, size) = match unit {
            Unit::Ns if most >= 2e9 => ("s", 1e9),
            Unit::Ns if most >= 2e5 => ("ms", 1e6),
            Unit::Ns => ("µs", 1e3),
            Unit::PerSec => ("1/s", 1.0),
            Unit::Ratio => ("%", 0.01),
            Unit::Count => ("", 1.0),
        };
        Self { unit, size }
    }

    /// A figure with its unit.
    pub(super) fn title(self, figure: &str) -> String {
        if self.unit.is_empty() { figure.to_owned() } else { format!("{figure} ({})", self.unit) }
    }
}

/// Both ends of an axis on which all values, none of them negative, lie. An axis always has a length.
pub(super) fn ends(lowest: f64, highest: f64) -> (f64, f64) {
    if highest <= 0.0 {
        return (0.0, 1.0);
    }
    let low = if lowest > FAR_FROM_ZERO * highest { lowest } else { 0.0 };
    let room = MARGIN * if highest > low { highest - low } else { highest };
    ((low - room).max(0.0), highest + room)
}

/// A number on an axis, without the noise of its sum.
pub(super) fn tick(value: &f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    format!("{rounded}")
}

/// `sync delay (ms)` for `load_balancer.rr.sync_delay_ms`.
pub(super) fn words(key: &str) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    let units = [("_ms", "ms"), ("_per_sec", "1/s"), ("_s", "s"), ("_bytes", "bytes")];
    let unit = units.into_iter().find_map(|(suffix, unit)| Some((last.strip_suffix(suffix)?, unit)));
    let (name, unit) = unit.map_or((last, String::new()), |(name, unit)| (name, format!(" ({unit})")));
    format!("{}{unit}", name.replace('_', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_begins_at_zero_unless_everything_is_far_from_it() {
        assert_eq!(ends(0.0, 0.0), (0.0, 1.0));
        assert_eq!(ends(0.0, 100.0), (0.0, 108.0));
        assert_eq!(ends(50.0, 100.0), (0.0, 108.0));
        assert_eq!(ends(90.0, 100.0), (89.2, 100.8));
        assert_eq!(ends(100.0, 100.0), (92.0, 108.0));
    }

    #[test]
    fn units_are_of_the_numbers_size() {
        let title = |unit, most| Scale::of(unit, most).title("x");
        assert_eq!(title(Unit::Ns, 5e9), "x (s)");
        assert_eq!(title(Unit::Ns, 5e6), "x (ms)");
        assert_eq!(title(Unit::Ns, 5e4), "x (µs)");
        assert_eq!([title(Unit::Ratio, 1.0), title(Unit::Count, 1.0)], ["x (%)", "x"]);
    }

    #[test]
    fn keys_are_read_in_words_and_ticks_without_noise() {
        assert_eq!(words("load_balancer.rr.sync_delay_ms"), "sync delay (ms)");
        assert_eq!(words("load_balancer.hosts"), "hosts");
        assert_eq!([tick(&0.6000000000000001), tick(&12.0)], ["0.6", "12"]);
    }
}
