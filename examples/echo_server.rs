//! A server that starts in a millisecond and answers `echo`: for tests that start many.
//!
//! It is the one that the benchmarks start.

#[path = "../benches/support/answers.rs"]
mod answers;
#[path = "../benches/support/child.rs"]
mod child;
#[expect(dead_code, reason = "the benchmarks use the rest")]
#[path = "../benches/support/manner.rs"]
mod manner;

fn main() {
    child::serve_if_asked();
}
