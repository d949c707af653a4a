//! How many cases are drawn, from which seed, and what is said of the one that fails.

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use sandkasten_e2e::{asked, seed};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

/// Each run of the suite draws the same cases, unless it is asked for other ones.
const USUAL_SEED: u64 = 5;
/// A case costs a session, so that shrinking is worth only so many.
const SHRINKING: u32 = 300;

/// Draws cases and runs each; the first that fails is shrunk, and fails the test with its seed.
///
/// # Panics
/// Where a case fails.
pub(crate) fn assert_all<S: Strategy>(
    usual_cases: u32,
    strategy: &S,
    body: impl AsyncFn(S::Value) -> Result<(), String>,
) where
    S::Value: Debug,
{
    let more = asked("SANDKASTEN_E2E_CASES").map(|cases| u32::try_from(cases).expect("a number of cases"));
    let is_usual = more.is_none() && asked("SANDKASTEN_E2E_SEED").is_none();
    let seed = if is_usual { USUAL_SEED } else { seed() };
    let cases = more.unwrap_or(usual_cases);
    let config = Config {
        cases,
        max_shrink_iters: SHRINKING,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    println!("{cases} cases of seed {seed}");
    let outcome = TestRunner::new(config).run(strategy, |case| {
        let run = body(case);
        block_in_place(|| Handle::current().block_on(run)).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, case)) => panic!(
            "seed {seed} (repeat with SANDKASTEN_E2E_SEED={seed} SANDKASTEN_E2E_CASES={cases}): {reason}\n\
             the shortest case that was found: {case:#?}"
        ),
        Err(TestError::Abort(reason)) => panic!("no cases could be drawn: {reason}"),
    }
}

/// Says that a test cannot run here.
pub(crate) fn skip_without(program: &str) {
    println!("SKIP: this host has no {program} to make an image of");
}
