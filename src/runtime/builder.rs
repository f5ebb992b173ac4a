//! The settings of a runtime.

use std::time::Duration;

use super::Runtime;
use crate::{
    host_death::HostDeath,
    policy::{Budget, CallOptions},
};

/// A declared runtime: see [`Runtime::builder`].
#[derive(Debug)]
#[must_use = "a runtime is started by `start`"]
pub struct RuntimeBuilder {
    pub(super) options: CallOptions,
    pub(super) host_death: HostDeath,
    pub(super) budget: Budget,
    pub(super) memory_every: Duration,
    #[cfg(feature = "http")]
    pub(super) allowed: Option<Vec<String>>,
}

impl Default for RuntimeBuilder {
    fn default() -> Self {
        Self {
            options: CallOptions::default(),
            host_death: HostDeath::default(),
            budget: Budget::unlimited().starts_per_minute(6000),
            memory_every: Duration::from_secs(5),
            #[cfg(feature = "http")]
            allowed: None,
        }
    }
}

impl RuntimeBuilder {
    /// What holds for all calls of the runtime, where nobody nearer to the call says otherwise.
    pub fn call_options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }

    /// What all servers of all sessions may take together. Default: 6,000 starts a minute, so that
    /// whatever goes wrong, processes are not started as fast as they die; and nothing else.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// How often the resident memory of servers is looked at, where it is limited: one look at each
    /// process of the machine. Default: 5 s.
    pub fn memory_sampled_every(mut self, interval: Duration) -> Self {
        self.memory_every = interval;
        self
    }

    /// What becomes of the servers if the host dies without closing them. Default: they are ended.
    pub fn host_death(mut self, host_death: HostDeath) -> Self {
        self.host_death = host_death;
        self
    }

    /// Limits the servers behind URLs to these origins, given as URLs such as `https://example.com`
    /// (scheme, host and port count), and with them the authorization servers of those with OAuth.
    /// All others are refused before their names are resolved. Without this, any may be reached.
    #[cfg(feature = "http")]
    pub fn allowed_servers(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allowed = Some(urls.into_iter().map(Into::into).collect());
        self
    }

    /// Starts the runtime on the tokio runtime that runs this.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Runtime {
        Runtime::start_with(self).await
    }
}
