//! Logarithms and exponentials of many numbers at once.
//!
//! For the usual arguments, the steps of `libm`'s functions in their order, so to the same bits, but without its branches: then
//! the processor takes several numbers side by side, as many as it can: none of its instructions rounds otherwise than another
//! one. (Products and sums are not fused: that would.) Other arguments are left to `libm`.
//!
//! The polynomials are those of FreeBSD's msun, `e_log.c` and `e_exp.c`: Copyright (C) 1993, 2004 by Sun Microsystems, Inc. All
//! rights reserved. Permission to use, copy, modify, and distribute this software is freely granted, provided that this notice
//! is preserved.

use std::f64::consts::LOG2_E;

use multiversion::multiversion;

/// So many at once.
const TOGETHER: usize = 16;

/// The natural logarithm of each, in place, as `libm::log` has it.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub(super) fn logs(xs: &mut [f64]) {
    each(xs, |x| (f64::MIN_POSITIVE..=f64::MAX).contains(&x), usual_log, libm::log);
}

/// e to the power of each, in place, as `libm::exp` has it.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub(super) fn exps(xs: &mut [f64]) {
    each(xs, |x| (1.04..700.0).contains(&x), usual_exp, libm::exp);
}

#[inline(always)]
fn each(xs: &mut [f64], is_usual: impl Fn(f64) -> bool, usual: impl Fn(f64) -> f64, any: impl Fn(f64) -> f64) {
    for chunk in xs.chunks_mut(TOGETHER) {
        let mut found = [0.0; TOGETHER];
        for (found, x) in found.iter_mut().zip(&*chunk) {
            *found = usual(*x);
        }
        for (found, x) in found.iter().zip(chunk) {
            *x = if is_usual(*x) { *found } else { any(*x) };
        }
    }
}

#[expect(clippy::excessive_precision, reason = "as published")]
const LN2_HI: f64 = 6.93147180369123816490e-01;
#[expect(clippy::excessive_precision, reason = "as published")]
const LN2_LO: f64 = 1.90821492927058770002e-10;

/// Of a positive number that is neither subnormal nor infinite.
#[inline(always)]
fn usual_log(x: f64) -> f64 {
    #[expect(clippy::excessive_precision, reason = "as published")]
    const LG: [f64; 7] = [
        6.666666666666735130e-01,
        3.999999999940941908e-01,
        2.857142874366239149e-01,
        2.222219843214978396e-01,
        1.818357216161805012e-01,
        1.531383769920937332e-01,
        1.479819860511658591e-01,
    ];
    /// The upper halves of 1 and of √½.
    const ONE: u64 = 0x3FF0_0000 << 32;
    const ROOT: u64 = 0x3FE6_A09E << 32;
    // x = 2^k · (1 + f), with 1 + f from √½ to √2.
    let bits = x.to_bits().wrapping_add(ONE - ROOT);
    let k = (bits >> 52) as i32 - 0x3FF;
    let f = f64::from_bits((bits & !(0xFFF << 52)) + ROOT) - 1.0;
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * (LG[1] + w * (LG[3] + w * LG[5]));
    let odd = z * (LG[0] + w * (LG[2] + w * (LG[4] + w * LG[6])));
    let r = odd + even;
    let k = f64::from(k);
    s * (half_square + r) + k * LN2_LO - half_square + f + k * LN2_HI
}

/// Of a number from 1.5·ln 2 to where 2^k is still a number.
#[inline(always)]
fn usual_exp(x: f64) -> f64 {
    #[expect(clippy::excessive_precision, reason = "as published")]
    const P: [f64; 5] = [
        1.66666666666666019037e-01,
        -2.77777777770155933842e-03,
        6.61375632143793436117e-05,
        -1.65339022054652515390e-06,
        4.13813679705723846039e-08,
    ];
    // x = k·ln 2 + r.
    let whole = (LOG2_E * x + 0.5) as i32;
    let k = f64::from(whole);
    let (high, low) = (x - k * LN2_HI, k * LN2_LO);
    let r = high - low;
    let square = r * r;
    let c = r - square * (P[0] + square * (P[1] + square * (P[2] + square * (P[3] + square * P[4]))));
    let y = 1.0 + (r * c / (2.0 - c) - low + high);
    y * f64::from_bits(((0x3FF + i64::from(whole)) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{KeyedRng, Purpose};

    fn assert_same(of: impl Fn(&mut [f64]), one: impl Fn(f64) -> f64, xs: impl Iterator<Item = f64>) {
        let xs: Vec<f64> = xs.collect();
        let mut found = xs.clone();
        of(&mut found);
        for (x, found) in xs.into_iter().zip(found) {
            assert_eq!(found.to_bits(), one(x).to_bits(), "{x:e}");
        }
    }

    #[test]
    fn the_bits_are_those_of_libm() {
        let mut rng = KeyedRng::new(1, Purpose::Hold, 0);
        let units: Vec<f64> = (0..1_000_000).map(|_| rng.uniform()).collect();
        assert_same(logs, libm::log, units.iter().copied());
        assert_same(logs, libm::log, units.iter().map(|u| 1.0 - u * 1e-12));
        assert_same(exps, libm::exp, units.iter().map(|u| 12.0 * u));
        assert_same(exps, libm::exp, units.iter().map(|u| 1500.0 * (u - 0.5)));
        // Any bits at all.
        assert_same(logs, libm::log, (0..1_000_000).map(|n| f64::from_bits(n * 18_446_744_073_707)));
        let odd = [0.0, -0.0, 1.0, -1.0, 5e-324, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY, f64::NEG_INFINITY];
        assert_same(logs, libm::log, odd.into_iter().filter(|x| *x >= 0.0));
        assert_same(exps, libm::exp, odd.into_iter().chain([1.04, 1.039, 699.9, 700.0]));
    }
}
