//! The official conformance suite: everything that a revision requires of a client, with a client
//! that finds the revision out by itself. What waits, and for what, is in `tests/conformance`.

#[path = "support/world.rs"]
mod world;

use std::process::Command;

/// Runs one set; its report is what a failure shows.
fn run(set: &str) {
    let client = world::echo_server().with_file_name("conformance_client");
    assert!(client.exists(), "{} is not built: run `cargo build --examples`", client.display());
    let ended = Command::new(world::root().join("tests/conformance"))
        .arg(set)
        .env("CONFORMANCE_CLIENT", client)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{report}{}", String::from_utf8_lossy(&ended.stderr));
    let last = report.lines().last().unwrap();
    assert!(last.starts_with(&format!("conformance {set}: ")), "{report}");
}

#[test]
fn the_scenarios_that_2025_11_25_requires_pass() {
    run("2025-11-25");
}

#[test]
fn every_scenario_of_authorization_passes() {
    run("auth");
}

#[test]
fn the_scenarios_that_2026_07_28_requires_pass() {
    run("2026-07-28");
}

/// Those of extensions, too.
#[test]
fn every_scenario_there_is_passes() {
    run("all");
}
