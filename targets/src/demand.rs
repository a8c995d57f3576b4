//! What a request asks for, as its headers say it.

use galton_core::Nanos;
use galton_core::wire::header;
use http::{HeaderMap, HeaderValue};

/// The largest CPU demand taken: at 1 ms a unit, more than a day of CPU time. Above it is a mistake.
const MAX_CPU: f64 = 1e8;
/// The longest hold taken, a day.
const MAX_HOLD_NS: u64 = 86_400_000_000_000;

/// What one request asks for, in machine time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Demand {
    /// How long it is held.
    pub(crate) hold: Nanos,
    /// CPU in units.
    pub(crate) cpu: f64,
}

/// The demand in the headers; `None` if they name none. Who names only one of hold and CPU asks for nothing of the other.
///
/// # Errors
/// What is wrong, naming the header.
pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Option<Demand>, String> {
    let (hold, cpu) = (headers.get(header::HOLD_NS), headers.get(header::CPU));
    if hold.is_none() && cpu.is_none() {
        return Ok(None);
    }
    let hold = hold.map_or(Ok(0), |value| {
        parse(value)
            .filter(|hold| *hold <= MAX_HOLD_NS)
            .ok_or_else(|| wrong(header::HOLD_NS, value, "whole nanoseconds, at most a day"))
    })?;
    let cpu = cpu.map_or(Ok(0.0), |value| {
        parse(value)
            .filter(|cpu| (0.0..=MAX_CPU).contains(cpu))
            .ok_or_else(|| wrong(header::CPU, value, "CPU units from 0 to 1e8"))
    })?;
    Ok(Some(Demand { hold: Nanos(hold), cpu }))
}

fn parse<T: std::str::FromStr>(value: &HeaderValue) -> Option<T> {
    value.to_str().ok()?.parse().ok()
}

fn wrong(name: &str, value: &HeaderValue, expected: &str) -> String {
    format!("{name}: expected {expected}, got {value:?}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(headers: &[(&'static str, &'static str)]) -> Result<Option<Demand>, String> {
        let headers = headers.iter().map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        from_headers(&headers.collect())
    }

    #[test]
    fn headers_name_hold_and_cpu() {
        let both = demand(&[("galton-hold-ns", "1500"), ("galton-cpu", "2.5")]);
        assert_eq!(both, Ok(Some(Demand { hold: Nanos(1500), cpu: 2.5 })));
        assert_eq!(demand(&[("galton-cpu", "1e1")]), Ok(Some(Demand { hold: Nanos::ZERO, cpu: 10.0 })));
        assert_eq!(demand(&[("galton-seq", "7")]), Ok(None));
    }

    #[test]
    fn what_is_wrong_names_the_header() {
        for bad in ["", "-1", "1.5", "x", "86400000000001"] {
            let error = demand(&[("galton-hold-ns", bad)]).unwrap_err();
            assert!(error.starts_with("galton-hold-ns: expected whole nanoseconds"), "{error}");
        }
        for bad in ["", "-1", "NaN", "inf", "1e9"] {
            let error = demand(&[("galton-cpu", bad)]).unwrap_err();
            assert!(error.starts_with("galton-cpu: expected CPU units"), "{error}");
        }
    }
}
