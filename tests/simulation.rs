//! Thousands of short lives, each drawn from a seed: servers that break in every way that
//! `testing::Faults` knows, on a clock that does not wait, and what has to hold all the same.
//!
//! A run that fails says which seed it was. To have it again, with its whole course:
//! `CALLBOARD_SEED=4711 cargo test --all-features --test simulation -- --nocapture`
#![cfg(feature = "testing")]

#[path = "support/simulated.rs"]
mod simulated;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use simulated::simulate;

/// How many lives there are; as many as the continuous integration has time for.
const SEEDS: u64 = 10_000;

/// Lives a seed's life, or says what did not hold.
fn lived(seed: u64) -> Result<Vec<String>, String> {
    let life = catch_unwind(AssertUnwindSafe(|| simulate(seed)));
    life.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
    })
}

/// What is printed of a seed that failed.
fn told(seed: u64, why: &str) -> String {
    format!(
        "seed {seed}: {why}\n  again: CALLBOARD_SEED={seed} cargo test --all-features --test \
         simulation -- --nocapture"
    )
}

#[test]
fn whatever_servers_do_calls_end_once_in_time_and_truly_and_nothing_is_left() {
    if let Some(seed) = std::env::var_os("CALLBOARD_SEED") {
        let seed = seed.to_str().and_then(|seed| seed.parse().ok()).expect("a number");
        return simulate(seed).iter().for_each(|line| println!("{line}"));
    }
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        return;
                    }
                    if let Err(why) = lived(seed) {
                        failed.store(true, Ordering::Relaxed);
                        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                        failures.push(told(seed, &why));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_same_seed_is_the_same_run() {
    if std::env::var_os("CALLBOARD_SEED").is_some() {
        return;
    }
    for seed in (0..SEEDS).step_by(100) {
        let (one, other) = (lived(seed), lived(seed));
        if one != other {
            let (one, other) = (one.unwrap_or_default(), other.unwrap_or_default());
            let differ = one.iter().zip(&other).find(|(a, b)| a != b);
            panic!("{}", told(seed, &format!("two runs differ: {differ:?}")));
        }
    }
}
