//! A subscriber as a program has one: it writes lines, which go nowhere, and its level can be changed.

use tracing_subscriber::reload;
use tracing_subscriber::{
    Layer as _, Registry, filter::LevelFilter, fmt, layer::SubscriberExt as _,
};

pub(crate) type Filter = LevelFilter;

/// The level that is traced from now on.
pub(crate) struct Level(reload::Handle<LevelFilter, Registry>);

/// Installs it for the whole process, at first for nothing.
pub(crate) fn install() -> Level {
    let (filter, handle) = reload::Layer::new(LevelFilter::OFF);
    let lines = fmt::layer().with_writer(std::io::sink).with_filter(filter);
    let subscriber = tracing_subscriber::registry().with(lines);
    tracing::subscriber::set_global_default(subscriber).expect("nobody else has installed one");
    Level(handle)
}

impl Level {
    pub(crate) fn set(&self, filter: Filter) {
        self.0.reload(filter).expect("the subscriber is there to stay");
    }
}
