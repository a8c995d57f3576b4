//! The keys of a distribution: of hold time and of delays (keys in `_ms`), of CPU demand (the same without).

use serde_json::{Value, json};

use super::limits::*;
use super::spec::{Key, Kind, Object, Presence, Range, Variant};

/// Where a distribution is: the unit in its key names, its ranges, and the shape taken when none is named.
struct Place {
    suffix: &'static str,
    range: Range,
    positive: Range,
    default: Option<&'static str>,
    /// Defaults of the keys of that shape.
    values: Vec<(&'static str, Value)>,
}

/// `traffic.request_duration_ms`.
pub(super) fn hold() -> Object {
    let values = vec![("mean_ms", json!(HOLD_MEAN_MS)), ("sigma", json!(HOLD_SIGMA))];
    dist(&Place { suffix: "_ms", range: MS, positive: POSITIVE_MS, default: Some("lognormal"), values })
}

/// `traffic.cpu_demand`.
pub(super) fn cpu() -> Object {
    let values = vec![("mean", json!(CPU_MEAN)), ("stddev", json!(CPU_STDDEV))];
    dist(&Place { suffix: "", range: UNITS, positive: POSITIVE_UNITS, default: Some("normal"), values })
}

/// A delay: a number of milliseconds, or a distribution of it.
pub(super) fn delay() -> Kind {
    let place = Place { suffix: "_ms", range: MS, positive: POSITIVE_MS, default: None, values: vec![] };
    Kind::Either(Box::new(Kind::Num(MS)), dist(&place))
}

fn dist(place: &Place) -> Object {
    let shapes = Object::default().tagged("distribution", place.default, "Shape of the distribution.", shapes(place));
    let modes = [
        Variant::new("distribution", "A named distribution.", shapes),
        Variant::new("percentiles", "Piecewise-linear inverse CDF through percentiles, from 0.", percentiles(place)),
    ];
    Object::default().tagged("mode", Some("distribution"), "How the distribution is given.", modes)
}

fn percentiles(place: &Place) -> Object {
    const NAMES: [&str; 5] = ["p50", "p80", "p90", "p99", "p100"];
    let keys: Vec<Key> = NAMES.iter().map(|p| Key::num(*p, place.range, "Percentile.")).collect();
    Object::of(keys).ascending(NAMES)
}

fn shapes(place: &Place) -> Vec<Variant> {
    let mut shapes = vec![
        Variant::new("lognormal", "exp(N(µ, σ²)).", lognormal(place)),
        Variant::new("normal", "Normal, truncated at 0.", normal(place)),
        Variant::new("exponential", "Exponential.", exponential(place)),
        Variant::new("deterministic", "Always the same.", Object::of([place.any("value", "The value.")])),
        Variant::new("gamma", "Gamma.", mean_and_cv(place)),
        Variant::new("weibull", "Weibull.", mean_and_cv(place)),
        Variant::new("pareto", "Pareto, type I.", pareto(place)),
        Variant::new("uniform", "Uniform in [min, max).", uniform(place)),
        Variant::new("bimodal", "One of two values.", bimodal(place)),
    ];
    for shape in shapes.iter_mut().filter(|shape| Some(shape.name) == place.default) {
        for key in &mut shape.body.keys {
            if let Some((_, value)) = place.values.iter().find(|(name, _)| *name == key.name) {
                key.presence = Presence::Default(value.clone());
            }
        }
    }
    shapes
}

fn lognormal(place: &Place) -> Object {
    Object::of([
        place.positive("mean", "Mean.").optional(),
        place.positive("median", "Median.").optional(),
        Key::num("sigma", SIGMA, "Standard deviation of the logarithm."),
    ])
    .one_of([place.name("mean"), place.name("median")])
}

fn normal(place: &Place) -> Object {
    Object::of([
        place.positive("mean", "Mean before truncation."),
        place.any("stddev", "Standard deviation before truncation."),
    ])
}

fn exponential(place: &Place) -> Object {
    Object::of([
        place.positive("mean", "Mean.").optional(),
        Key::num(place.name("lambda"), LAMBDA, "1 / mean.").optional(),
    ])
    .one_of([place.name("mean"), place.name("lambda")])
}

fn mean_and_cv(place: &Place) -> Object {
    Object::of([place.positive("mean", "Mean."), Key::num("cv", CV, "Coefficient of variation.")])
}

fn pareto(place: &Place) -> Object {
    Object::of([place.positive("min", "Smallest value."), Key::num("alpha", ALPHA, "Tail exponent.")])
}

fn uniform(place: &Place) -> Object {
    Object::of([place.any("min", "Lower end."), place.positive("max", "Upper end.")])
        .ascending([place.name("min"), place.name("max")])
}

fn bimodal(place: &Place) -> Object {
    Object::of([
        place.any("fast", "The usual value."),
        place.any("slow", "The rare value."),
        Key::num("slow_fraction", FRACTION, "How often the rare one."),
    ])
    .ascending([place.name("fast"), place.name("slow")])
}

// === impl Place ===

impl Place {
    fn name(&self, stem: &str) -> String {
        format!("{stem}{}", self.suffix)
    }

    /// A key that may be 0.
    fn any(&self, stem: &str, doc: &'static str) -> Key {
        Key::num(self.name(stem), self.range, doc)
    }

    /// A key that may not.
    fn positive(&self, stem: &str, doc: &'static str) -> Key {
        Key::num(self.name(stem), self.positive, doc)
    }
}
