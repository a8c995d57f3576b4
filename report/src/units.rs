//! Numbers for people: every one with its unit, three digits where they matter.

use galton_core::Nanos;

/// What stands where a figure cannot be given.
pub const NOT_AVAILABLE: &str = "n/a";

/// `12,345`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 start`, `2 starts`.
pub(crate) fn things(n: u64, singular: &str) -> String {
    format!("{} {singular}{}", count(n), if n == 1 { "" } else { "s" })
}

/// `850 ns`, `12.3 µs`, `104 ms`, `2.50 s`, `120 s`.
pub fn time(t: Nanos) -> String {
    let ns = t.0 as f64;
    match t.0 {
        0 => "0 ms".to_owned(),
        1..1_000 => format!("{} ns", t.0),
        1_000..1_000_000 => format!("{} µs", digits(ns / 1e3)),
        1_000_000..1_000_000_000 => format!("{} ms", digits(ns / 1e6)),
        _ => format!("{} s", digits(ns / 1e9)),
    }
}

/// `≥ 900 ms`, if the true value is at least this.
pub(crate) fn bounded(t: Nanos, at_least: bool) -> String {
    format!("{}{}", if at_least { "≥ " } else { "" }, time(t))
}

/// `12.3 %`.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{} %", digits(share * 100.0)) } else { NOT_AVAILABLE.to_owned() }
}

/// `20.0/s`.
pub fn rate(per_sec: f64) -> String {
    format!("{}/s", digits(per_sec))
}

/// Three digits, more before the point where there are more; whole numbers that small without a point.
pub fn digits(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => NOT_AVAILABLE.to_owned(),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        v if v < 9.995 => format!("{value:.2}"),
        v if v < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// An instant since T0: `12.345 s`.
pub(crate) fn instant(at: Nanos) -> String {
    format!("{:.3} s", at.as_secs_f64())
}

/// `2026-11-21 03:42:07 UTC`, of nanoseconds since 1970.
///
/// The date from the day's number as in Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
pub(crate) fn utc(unix_ns: u64) -> String {
    let secs = unix_ns / 1_000_000_000;
    let (day, second) = (secs / 86_400 + 719_468, secs % 86_400);
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let date = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{date:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([things(1, "start"), things(2, "start")], ["1 start", "2 starts"]);
        let times = [0, 7, 12_340, 104_200_000, 2_500_000_000, 120_000_000_000].map(|ns| time(Nanos(ns)));
        assert_eq!(times, ["0 ms", "7 ns", "12.3 µs", "104 ms", "2.50 s", "120 s"]);
        assert_eq!([percent(0.1234), percent(f64::NAN), rate(20.0)], ["12.3 %", "n/a", "20/s"]);
        assert_eq!(utc(951_827_696_000_000_000), "2000-02-29 12:34:56 UTC");
        assert_eq!(
            [utc(0), utc(1_700_000_000 * 1_000_000_000)],
            ["1970-01-01 00:00:00 UTC", "2023-11-14 22:13:20 UTC"]
        );
        assert_eq!(instant(Nanos(1_500_000_000)), "1.500 s");
    }
}
