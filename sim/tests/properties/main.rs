//! Properties of every run, over random scenarios.
//!
//! The scenarios are the same each time: their seed is fixed. `PROPTEST_CASES=10000 cargo test -p galton-sim --test properties`
//! tries more of them. A scenario that failed is printed as it would stand in a file; it is kept in `kept.rs`.

#[path = "../common/mod.rs"]
mod common;

mod books;
mod conserved;
mod kept;
mod limits;
mod run;
mod scenarios;

use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed};
use serde_json::{Value, json};

use run::Run;
use scenarios::File;

/// The proptest crate's own number of cases, 256, which an environment variable raises.
fn config() -> ProptestConfig {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/properties.txt");
    ProptestConfig {
        rng_seed: RngSeed::Fixed(42),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(file))),
        max_shrink_iters: 4_000,
        ..ProptestConfig::default()
    }
}

/// Asserts everything that holds of any scenario.
pub(crate) fn check(scenario: &Value) {
    let run = Run::of(scenario);
    books::check(&run);
    limits::check(&run);
}

/// Asserts that two runs recorded the same.
fn assert_same(one: &Run, two: &Run) {
    assert_eq!(one.records.trace, two.records.trace);
    assert_eq!(one.records.decisions, two.records.decisions);
    assert_eq!(one.records.fleet, two.records.fleet);
    assert_eq!(one.records.counters, two.records.counters);
}

fn with(scenario: &Value, change: &Value) -> Value {
    let mut scenario = scenario.clone();
    common::merge(&mut scenario, change);
    scenario
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_books_balance_and_nothing_leaves_its_limits(File(scenario) in scenarios::any()) {
        check(&scenario);
    }

    #[test]
    fn with_one_table_nobody_waits_while_a_slot_is_free(File(scenario) in scenarios::any()) {
        conserved::check(&Run::of(&conserved::one_queue(&scenario)));
    }

    #[test]
    fn with_one_table_nobody_is_rejected_while_a_slot_is_free(File(scenario) in scenarios::any()) {
        let fail = json!({"load_balancer": {"no_capacity": "fail"}});
        conserved::check(&Run::of(&with(&conserved::one_table(&scenario), &fail)));
    }

    #[test]
    fn the_same_seed_gives_the_same_run(File(scenario) in scenarios::any()) {
        assert_same(&Run::of(&scenario), &Run::of(&scenario));
    }

    #[test]
    fn warm_up_changes_nothing_that_happens(File(scenario) in scenarios::any()) {
        let none = with(&scenario, &json!({"simulation": {"warmup_ms": 0}}));
        assert_same(&Run::of(&scenario), &Run::of(&none));
    }

    #[test]
    fn two_policies_meet_the_same_requests(File(scenario) in scenarios::any()) {
        let run = |architecture| {
            let run = Run::of(&with(&scenario, &json!({"load_balancer": {"architecture": architecture}})));
            let asked = run.records.trace.into_iter();
            asked.map(|row| (row.t_intended, row.host, row.hold_demand, row.cpu_demand)).collect::<Vec<_>>()
        };
        assert_eq!(run("round_robin"), run("least_conns"));
    }
}
