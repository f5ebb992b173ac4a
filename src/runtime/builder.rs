//! The settings of a runtime.

use super::Runtime;
use crate::{host_death::HostDeath, policy::CallOptions};

/// A declared runtime: see [`Runtime::builder`].
#[derive(Debug, Default)]
#[must_use = "a runtime is started by `start`"]
pub struct RuntimeBuilder {
    pub(super) options: CallOptions,
    pub(super) host_death: HostDeath,
    #[cfg(feature = "http")]
    pub(super) allowed: Option<Vec<String>>,
}

impl RuntimeBuilder {
    /// What holds for all calls of the runtime, where nobody nearer to the call says otherwise.
    pub fn call_options(mut self, options: CallOptions) -> Self {
        self.options = options;
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
