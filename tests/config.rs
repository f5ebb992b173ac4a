//! Files of servers: those of clients as they are, and everything that can be wrong with one.

#[path = "config/blocks.rs"]
mod blocks;
#[path = "config/clients.rs"]
mod clients;
#[path = "config/live.rs"]
mod live;
#[path = "config/odd.rs"]
mod odd;
#[path = "config/schemas.rs"]
mod schemas;
#[path = "support/world.rs"]
mod world;
#[path = "config/written.rs"]
mod written;

use std::path::{Path, PathBuf};

use callboard::{
    ServerSpec,
    config::{self, Loaded},
};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn load(name: &str) -> Loaded {
    let loaded = config::load(sample(name)).unwrap();
    assert!(loaded.faults.is_empty(), "{:#?}", loaded.faults);
    loaded
}

fn parse(text: &str) -> Loaded {
    config::parse_json(text, "x.json").unwrap()
}

/// Everything that is said of a server, as debugging shows it.
fn shown(loaded: &Loaded, server: &str) -> String {
    format!("{:?}", spec(loaded, server))
}

fn spec<'a>(loaded: &'a Loaded, server: &str) -> &'a ServerSpec {
    loaded.specs.iter().find(|spec| spec.name() == server).unwrap()
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.specs.iter().map(ServerSpec::name).collect()
}

fn lines(faults: &[config::Fault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}
