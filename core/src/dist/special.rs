//! The special functions that distributions need beyond `libm`.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use multiversion::multiversion;

use super::together::logs;

/// Φ(x), the standard normal distribution function.
pub(super) fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// Φ⁻¹(p) for p in (0, 1), to about 1 part in 10¹⁶: Wichura, "Algorithm AS 241: the percentage points of the normal
/// distribution", Applied Statistics 37 (1988), routine PPND16.
pub fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= CENTRAL { central(q) } else { outer(p) }
}

/// Φ⁻¹ of each, in place: the same as one by one, but those in the centre (most) are computed side by side, and then the others.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub(super) fn normal_quantiles(ps: &mut [f64]) {
    for chunk in ps.chunks_mut(TOGETHER) {
        let (mut others, mut places, mut len) = ([0.0; TOGETHER], [0; TOGETHER], 0);
        for (place, p) in chunk.iter().enumerate() {
            // Without a branch: which of them are in the centre nobody can predict.
            (others[len], places[len]) = (*p, place);
            len += usize::from((p - 0.5).abs() > CENTRAL);
        }
        chunk.iter_mut().for_each(|p| *p = central(*p - 0.5));
        outer_quantiles(&mut others[..len]);
        places[..len].iter().zip(others).for_each(|(place, found)| chunk[*place] = found);
    }
}

/// Quantiles computed side by side.
const TOGETHER: usize = 64;

/// How far from the middle the approximation for the centre holds.
const CENTRAL: f64 = 0.425;

#[inline]
fn central(q: f64) -> f64 {
    q * ratio(&CENTRE, 0.180625 - q * q)
}

fn outer(p: f64) -> f64 {
    let r = libm::sqrt(-libm::log(p.min(1.0 - p)));
    let x = if r <= FAR { ratio(&MIDDLE, r - 1.6) } else { ratio(&TAIL, r - FAR) };
    x.copysign(p - 0.5)
}

/// As [`outer`], in place, no more than [`TOGETHER`]; but for the few that are far out, side by side.
#[inline(always)]
fn outer_quantiles(ps: &mut [f64]) {
    let (mut rs, mut found) = ([0.5; TOGETHER], [0.0; TOGETHER]);
    rs.iter_mut().zip(&*ps).for_each(|(r, p)| *r = p.min(1.0 - p));
    logs(&mut rs[..ps.len()]);
    for ((found, r), p) in found.iter_mut().zip(&mut rs).zip(&*ps) {
        // A square root has the same bits everywhere.
        *r = (-*r).sqrt();
        *found = ratio(&MIDDLE, *r - 1.6).copysign(p - 0.5);
    }
    for ((p, found), r) in ps.iter_mut().zip(found).zip(rs) {
        *p = if r <= FAR { found } else { outer(*p) };
    }
}

/// From here on the approximation for the tail holds.
const FAR: f64 = 5.0;

/// Coefficients of a numerator and a denominator, highest power first.
type Ratio = [[f64; 8]; 2];

#[inline]
fn ratio([above, below]: &Ratio, x: f64) -> f64 {
    let horner = |coefficients: &[f64; 8]| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    horner(above) / horner(below)
}

#[expect(clippy::excessive_precision, reason = "as published")]
const CENTRE: Ratio = [
    [
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ],
    [
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ],
];

#[expect(clippy::excessive_precision, reason = "as published")]
const MIDDLE: Ratio = [
    [
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ],
    [
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ],
];

#[expect(clippy::excessive_precision, reason = "as published")]
const TAIL: Ratio = [
    [
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ],
    [
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ],
];

/// Mean and variance of N(mean, stddev²) conditional on being ≥ 0.
///
/// With λ = φ(a)/Φ(a) and a = mean/stddev: mean + stddev·λ and stddev²·(1 − aλ − λ²).
pub(super) fn truncated_normal(mean: f64, stddev: f64) -> (f64, f64) {
    let a = mean / stddev;
    let mass = normal_cdf(a);
    if stddev == 0.0 || mass == 0.0 {
        return (mean.max(0.0), 0.0);
    }
    let lambda = libm::exp(-a * a / 2.0) / libm::sqrt(2.0 * PI) / mass;
    (mean + stddev * lambda, stddev * stddev * (1.0 - a * lambda - lambda * lambda))
}

/// P(X ≤ x), x ≥ 0, of N(mean, stddev²) conditional on being ≥ 0.
pub(super) fn truncated_normal_cdf(mean: f64, stddev: f64, x: f64) -> f64 {
    let mass = normal_cdf(mean / stddev);
    if stddev == 0.0 || mass == 0.0 {
        return f64::from(u8::from(x >= mean));
    }
    1.0 - normal_cdf((mean - x) / stddev) / mass
}

/// 1/shape of the Weibull distribution with coefficient of variation `cv`.
///
/// With p = 1/shape, ln(1 + cv²) = lnΓ(1 + 2p) − 2·lnΓ(1 + p), which grows with p: bisection, to the last bit.
pub(super) fn weibull_power(cv: f64) -> f64 {
    let wanted = libm::log1p(cv * cv);
    // At 512 the left side is above 700, the logarithm of the largest double.
    let (mut low, mut high) = (0.0, 512.0);
    loop {
        let middle = (low + high) / 2.0;
        if middle <= low || middle >= high {
            return middle;
        }
        if libm::lgamma(1.0 + 2.0 * middle) - 2.0 * libm::lgamma(1.0 + middle) < wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// The scale with which a Weibull distribution of shape 1/`power` has the mean `mean`.
pub(super) fn weibull_scale(mean: f64, power: f64) -> f64 {
    mean * libm::exp(-libm::lgamma(1.0 + power))
}

/// P(shape, x), the regularised lower incomplete gamma function: by its series (DLMF 8.11.4) below the mean, by Lentz's
/// evaluation of its continued fraction (DLMF 8.9.2) above.
pub(super) fn gamma_cdf(shape: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let front = libm::exp(shape * libm::log(x) - x - libm::lgamma(shape));
    if x < shape + 1.0 { front * gamma_series(shape, x) } else { 1.0 - front * gamma_fraction(shape, x) }
}

/// Terms after which both expansions stop: they take a few times √shape, and nobody asks for a shape above 10⁸.
const MOST_TERMS: u32 = 100_000;

fn gamma_series(shape: f64, x: f64) -> f64 {
    let mut term = 1.0 / shape;
    let mut sum = term;
    for n in 1..MOST_TERMS {
        term *= x / (shape + f64::from(n));
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum
}

fn gamma_fraction(shape: f64, x: f64) -> f64 {
    let nonzero = |y: f64| {
        if y.abs() < f64::MIN_POSITIVE { f64::MIN_POSITIVE } else { y }
    };
    let mut b = x + 1.0 - shape;
    let mut c = 1.0 / f64::MIN_POSITIVE;
    let mut d = 1.0 / nonzero(b);
    let mut fraction = d;
    for n in (1..MOST_TERMS).map(f64::from) {
        let a = -n * (n - shape);
        b += 2.0;
        d = 1.0 / nonzero(a * d + b);
        c = nonzero(b + a / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    fraction
}
