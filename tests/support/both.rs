//! A server of either era that writes down what it is told.

#![allow(dead_code, reason = "each test uses its own part of it")]
#![allow(missing_docs, reason = "a test's harness")]

use std::time::Duration;

use callboard::{ServerSpec, Session, Stdio};
use serde_json::Value;

use crate::{
    person::Person,
    world::{self, World},
};

pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn server(world: &World, era: &str) -> Stdio {
    world.script("both.py").arg(era).arg(world.log_path())
}

pub(crate) async fn open(world: &World, era: &str, person: &Person) -> Session {
    let spec = ServerSpec::new("a", server(world, era)).required();
    world.runtime.session("test").host(person.clone()).server(spec).open().await.unwrap()
}

/// The messages of this method, or the answers where it is empty, that the server got.
pub(crate) fn got(world: &World, method: &str) -> Vec<Value> {
    let all = world::log(&world.log_path());
    all.into_iter().filter(|message| message["method"].as_str().unwrap_or("") == method).collect()
}

/// Waits until it has got so many of them.
pub(crate) async fn await_got(world: &World, method: &str, count: usize) {
    world::eventually(SOON, method, || got(world, method).len() >= count).await;
}
