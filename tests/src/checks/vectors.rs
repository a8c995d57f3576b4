//! The deterministic vectors live, ten times in a row: per request the same target and retries, the same scale-ups, the same
//! fleet at the end.

use galton_tests::vector::{ALL, Vector};

use super::{Tally, run};

/// In a row.
const TIMES: u32 = 10;

pub(super) fn check(tally: &mut Tally) {
    for round in 1..=TIMES {
        let faults: Vec<String> = std::thread::scope(|scope| {
            let live = |text| {
                let vector = Vector::parse(text);
                vector.differences(&run(vector.scenario(), &["--time-scale", "0.25"]))
            };
            let threads: Vec<_> = ALL.iter().map(|text| scope.spawn(move || live(text))).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a run")).collect()
        });
        tally.check(faults.is_empty(), &format!("round {round} of {TIMES}: {} vectors {faults:?}", ALL.len()));
    }
}
