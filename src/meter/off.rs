//! Nothing is told to anybody.

use std::{sync::Arc, time::Duration};

use crate::{status::BreakerState, telemetry::Labels, usage::Ending};

#[derive(Debug)]
pub(crate) struct ToolMeter;

impl ToolMeter {
    pub(crate) fn started(&self) {}
    pub(crate) fn ended(&self, _ending: Ending, _took: Duration) {}
}

#[derive(Debug)]
pub(crate) struct ServerMeter;

impl ServerMeter {
    pub(crate) fn new(_server: &Arc<str>, _labels: &Labels) -> Self {
        Self
    }

    /// Of calls of tools that nobody has.
    pub(crate) fn of_nobody() -> ToolMeter {
        ToolMeter
    }

    pub(crate) fn tool(&self, _tool: (&str, &str)) -> ToolMeter {
        ToolMeter
    }

    pub(crate) fn queued(&self, _more: bool) {}
    pub(crate) fn sent(&self, _bytes: usize) {}
    pub(crate) fn received(&self, _bytes: usize) {}
    pub(crate) fn answered(&self, _method: &str, _error: Option<&str>, _took: Duration) {}
    pub(crate) fn link_begins(&self) {}
    pub(crate) fn link_started(&self, _works: bool, _took: Duration) {}
    pub(crate) fn link_ended(&self, _failed: bool, _lasted: Duration) {}
    pub(crate) fn link_gone(&self, _took: Duration) {}
    pub(crate) fn restarted(&self, _reason: &'static str) {}
    pub(crate) fn breaker(&self, _state: Option<BreakerState>) {}
}

pub(crate) fn describe() {}
pub(crate) fn leaked(_processes: usize) {}
