//! What the scaler did.

use galton_core::Nanos;

use super::{Cell, Section, Table};
use crate::compute::{TOLERANCE, TOLERANCE_SHARE};
use crate::model::Report;
use crate::stats::Summary;
use crate::units::{NOT_AVAILABLE, count, instant, percent, things, time};

pub(super) fn section(report: &Report) -> Section {
    let s = &report.scaling;
    let intro = format!(
        "{}, {}, at most {} ready at a time; {} refused, a start shared by {}, {}, {}.",
        things(s.ups, "start"),
        things(s.downs, "removal"),
        things(s.peak.into(), "target"),
        things(s.ups_refused, "start"),
        things(s.joined, "more request"),
        things(s.deaths, "death"),
        things(s.restarts, "restart")
    );
    Section { id: "scaling", title: "Scaling", intro, tables: vec![starts(report), events(report)] }
}

fn starts(report: &Report) -> Table {
    let s = &report.scaling.starts;
    let caption = format!(
        "Starts from requested to ready, against the configured delay. {} took longer than configured by more than the larger \
         of {} of machine time and {}; the worst by {}.",
        count(s.overrun),
        time(TOLERANCE),
        percent(TOLERANCE_SHARE),
        time(s.worst_overrun)
    );
    let mut table = Table::new(caption, &["start delay"], &["starts", "min", "mean", "p50", "max"]);
    let mut add = |name: &str, x: &Summary| {
        let show = |ns: Option<u64>| ns.map_or(NOT_AVAILABLE.to_owned(), |ns| time(Nanos(ns)));
        let at = |q: f64| x.quantiles.iter().find(|found| found.q == q).and_then(|found| found.value);
        table.row([name.to_owned(), count(x.n), show(x.min), show(x.mean), show(at(0.5)), show(at(1.0))]);
    };
    add("requested to ready", &s.took);
    add("configured", &s.configured);
    table
}

fn events(report: &Report) -> Table {
    let mut table = Table::new(
        "Every event of the fleet after its start. Ready and free: targets and slots just before the event.",
        &["at", "what", "target", "who asked", "why"],
        &["took", "configured", "overrun", "ready", "free slots"],
    );
    let shown = |e: &&crate::model::ScalingEvent| e.at_ns > Nanos::ZERO || e.took_ns.is_some();
    for e in report.scaling.events.iter().filter(shown) {
        let blank_zero = |t: Nanos| if t == Nanos::ZERO { String::new() } else { time(t) };
        let cells = [
            instant(e.at_ns),
            e.what.as_str().replace('_', " "),
            e.target.map(|t| t.to_string()).unwrap_or_default(),
            e.host.map(|h| format!("host {h}")).unwrap_or_default(),
            e.why.to_owned(),
            e.took_ns.map(time).unwrap_or_default(),
            blank_zero(e.delay_ns),
            blank_zero(e.overrun_ns),
            e.ready.to_string(),
            e.free_slots.map_or(NOT_AVAILABLE.to_owned(), count),
        ];
        table.row(cells.map(Cell::from));
    }
    table.cut()
}
