//! When a link is taken for dead although nothing has said so.

use std::time::Duration;

/// When a server that is connected and does not answer is declared down, and started again by its
/// restart policy. To be given to [`ServerSpec::health`](crate::ServerSpec::health); without one, a
/// call that times out says nothing about the server, for it may be the tool that is slow.
///
/// By default, three calls in a row that time out, with no answer to another call in between, have the
/// server probed: `ping` in older revisions, `server/discover` in 2026-07-28. One that leaves that
/// unanswered for 10 s goes down, as [`DownCause::Unresponsive`](crate::DownCause::Unresponsive). A
/// server that does one thing at a time cannot answer while it works: give it the time that its
/// longest tool takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct HealthCheck {
    pub(crate) probe_after: Option<u32>,
    pub(crate) probe_every: Option<Duration>,
    pub(crate) probe_within: Duration,
    pub(crate) down_after: Option<u32>,
}

impl HealthCheck {
    /// Probes after so many calls in a row that timed out. Default 3.
    pub fn probe_after(mut self, timeouts: u32) -> Self {
        self.probe_after = Some(timeouts);
        self
    }

    /// Probes a server from which nothing has come for this long. Default: never.
    pub fn probe_every(mut self, interval: Duration) -> Self {
        self.probe_every = Some(interval);
        self
    }

    /// How long the server has to answer a probe. Default 10 s.
    pub fn probe_within(mut self, limit: Duration) -> Self {
        self.probe_within = limit;
        self
    }

    /// Declares the server down after so many calls in a row that timed out, whether it answers probes
    /// or not, as [`DownCause::Unanswered`](crate::DownCause::Unanswered). Default: never.
    pub fn down_after(mut self, timeouts: u32) -> Self {
        self.down_after = Some(timeouts);
        self
    }

    /// Whether so many timeouts in a row are too many.
    pub(crate) fn is_down(&self, timeouts: u32) -> bool {
        self.down_after.is_some_and(|most| timeouts >= most)
    }

    /// Whether so many timeouts in a row cast doubt on the server.
    pub(crate) fn is_doubtful(&self, timeouts: u32) -> bool {
        self.probe_after.is_some_and(|most| timeouts >= most)
    }

    /// What holds where nothing is said: doubts have to come from elsewhere.
    pub(crate) fn indifferent() -> Self {
        Self { probe_after: None, ..Self::default() }
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            probe_after: Some(3),
            probe_every: None,
            probe_within: Duration::from_secs(10),
            down_after: None,
        }
    }
}
