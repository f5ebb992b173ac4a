//! Where what goes over a link is told and counted, and which trace it is part of.

use std::sync::Arc;

use tracing::Span;

use super::Link;
use crate::{
    redactor::Redactor,
    telemetry::{self, Labels},
    trace::Tracer,
    usage::ServerUsage,
    wire::RequestId,
};

/// Where what goes over a link is told and counted.
pub(crate) struct Observed {
    pub(crate) span: Span,
    pub(crate) labels: Arc<Labels>,
    pub(crate) usage: Arc<ServerUsage>,
    pub(crate) tracer: Option<Tracer>,
    pub(crate) redactor: Redactor,
}

impl Link {
    /// The members of `_meta` that say which trace a request is part of that is made here and now.
    pub(crate) fn trace_members(&self, span: &Span) -> Option<String> {
        let tracer = self.tracer.as_ref()?;
        span.in_scope(|| tracer.members())
    }

    /// What the server calls the HTTP session, if there is one; without secrets.
    pub(crate) fn http_session(&self) -> Option<String> {
        let id = self.post.as_ref()?.http_session()?;
        Some(self.redactor.redact(&id).into_owned())
    }

    pub(super) fn count_sent(&self, id: Option<RequestId>, bytes: usize) {
        self.usage.count_sent(bytes);
        telemetry::frame_sent(&self.span, id, bytes);
    }

    pub(crate) fn count_received(&self, frames: usize, bytes: usize) {
        self.usage.count_received(bytes);
        telemetry::frames_read(&self.span, frames, bytes);
    }
}
