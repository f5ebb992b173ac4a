//! The endurance run, for a moment: what it says is true both ways. And Check 5: sessions that are
//! opened and closed again and again leave descriptors, tasks and memory as they were.

#[path = "../examples/soak/slope.rs"]
mod slope;
#[path = "support/world.rs"]
mod world;

use std::process::{Command, Output};

use slope::Trend;

fn soak(arguments: [&str; 4]) -> (Output, String) {
    let program = world::example("soak");
    let ran = Command::new(program).args(["--every", "1"]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    (ran, said)
}

#[test]
fn a_short_run_is_flat_and_leaves_nothing() {
    let (ran, said) = soak(["--seconds", "8", "--leak", "0"]);
    let last: Vec<_> = said.lines().rev().take(2).collect();
    assert_eq!(last[0], "flat: yes", "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(last[1].ends_with("0 descriptors; 0 marked processes"), "{said}");
    assert!(ran.status.success(), "{said}");
}

#[test]
fn a_run_that_forgets_memory_says_what_grew() {
    let (ran, said) = soak(["--seconds", "1", "--leak", "4000000"]);
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("flat: no, grew: ") && last.contains("heap"), "{said}");
    assert!(!ran.status.success());
}

#[test]
fn a_trend_is_not_led_astray_by_warm_up_noise_or_a_single_look() {
    let noise = |at: usize| ((at * 7919) % 13) as f64;
    let warm = |at: usize| if at < 20 { at as f64 * 50.0 } else { 1000.0 };
    let mut flat: Vec<f64> = (0..100).map(|at| warm(at) + noise(at)).collect();
    assert!(Trend::of(&flat).growth.abs() < 3.0);
    flat[70] = 100_000.0;
    assert!(Trend::of(&flat).growth.abs() < 3.0);
    let rising: Vec<f64> = (0..100).map(|at| 1000.0 + noise(at) + at as f64).collect();
    let trend = Trend::of(&rising);
    assert!((60.0..70.0).contains(&trend.growth), "{trend:?}");
    assert!((1060.0..1080.0).contains(&trend.median), "{trend:?}");
    assert_eq!(Trend::of(&[]).growth, 0.0);
}
