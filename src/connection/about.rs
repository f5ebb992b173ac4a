//! What went wrong with a request of the host, in the words of its caller.

use std::sync::Arc;

use super::{
    Connection,
    link::{Link, Loss},
};
use crate::{
    error::{CallError, Delivery, DownCause, DownReason, HttpError, ServerError},
    record::Record,
    status::Phase,
    wire::RpcError,
};

/// What a request of the host is about.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) connection: &'a Connection,
    /// The id of a tool, or a method and what it is asked of.
    pub(crate) what: &'a str,
}

impl About<'_> {
    pub(crate) fn invalid(&self, detail: String) -> CallError {
        let (server, tool) = (self.server(), self.what());
        self.redacted(CallError::InvalidResponse {
            server,
            tool,
            detail,
            record: Record::default(),
        })
    }

    /// Of an interim result that nothing can be done with.
    pub(crate) fn never_asked(&self) -> CallError {
        self.invalid("an interim result, which was not asked for".to_owned())
    }

    /// The same without secrets.
    pub(crate) fn redacted(&self, mut error: CallError) -> CallError {
        let redactor = &self.connection.scope.secrets.redactor;
        if !redactor.is_idle() {
            error.redact(redactor);
        }
        error
    }

    pub(crate) fn rejected(&self, error: RpcError) -> CallError {
        self.redacted(CallError::Rejected {
            server: self.server(),
            tool: self.what(),
            code: error.code,
            message: error.message,
            data: error.data,
            record: Record::default(),
        })
    }

    pub(crate) fn lost(&self, epoch: u64, loss: Loss) -> CallError {
        let (server, limits) = (self.server(), &self.connection.spec.limits);
        match loss {
            Loss::Down { reason, delivery } => down(server, epoch, reason, delivery),
            Loss::Http { error, delivery } => self.failed(epoch, error, delivery),
            Loss::TimedOut { limit, after, delivery } => {
                let (tool, record) = (self.what(), Record::default());
                CallError::TimedOut { server, tool, limit, after, delivery, record }
            }
            Loss::TooManyCalls => {
                let limit = format!("{} calls in flight", limits.max_calls);
                overloaded(server, limit, "max_calls")
            }
            Loss::TooManyBytes => {
                let limit = format!("{} bytes of requests in flight", limits.max_call_bytes);
                overloaded(server, limit, "max_call_bytes")
            }
        }
    }

    /// Of a later message about a request that the server had, and answered over this link by
    /// something that is not its end. Whatever became of that message, the server may have acted.
    pub(crate) fn begun(&self, link: &Link, error: CallError) -> CallError {
        if !matches!(error, CallError::NotReady { .. }) {
            return error.after_the_first();
        }
        // A restart takes the link away a moment before it ends it.
        let reason = link.down_reason();
        let reason = reason.unwrap_or_else(|| Arc::new(DownReason::new(DownCause::Restarted)));
        self.lost(link.epoch, Loss::Down { reason, delivery: Delivery::MaybeSent })
    }

    /// Of a request whose own exchange failed.
    fn failed(&self, epoch: u64, error: Arc<HttpError>, delivery: Delivery) -> CallError {
        let (server, tool, record) = (self.server(), self.what(), Record::default());
        match (error.status(), &*error) {
            (Some(status), _) => {
                CallError::HttpStatus { server, tool, status, delivery, error, record }
            }
            (None, HttpError::Unauthorized { .. }) => {
                CallError::Unauthorized { server, tool, delivery, error, record }
            }
            (None, HttpError::ContentType { .. } | HttpError::NoAnswer { .. }) => {
                CallError::InvalidResponse { server, tool, detail: error.to_string(), record }
            }
            (None, _) => {
                let reason = Arc::new(DownReason::new(DownCause::Http(error)));
                down(server, epoch, reason, delivery)
            }
        }
    }

    fn server(&self) -> String {
        self.connection.name().to_string()
    }

    fn what(&self) -> String {
        self.what.to_owned()
    }
}

fn overloaded(server: String, limit: String, setting: &'static str) -> CallError {
    CallError::Overloaded { server, limit, setting, delivery: Delivery::NotSent }
}

fn down(server: String, epoch: u64, reason: Arc<DownReason>, delivery: Delivery) -> CallError {
    if matches!(reason.cause, DownCause::SessionClosed) {
        return CallError::SessionClosed { delivery };
    }
    CallError::TransportDown { server, epoch, delivery, reason }
}

pub(crate) fn not_ready(connection: &Connection) -> CallError {
    not_ready_for(connection, None)
}

/// `reason` is why the link is down, where the status may not say it yet.
pub(crate) fn not_ready_for(connection: &Connection, reason: Option<Arc<DownReason>>) -> CallError {
    let status = connection.status();
    let over = matches!(status.phase, Phase::Stopping | Phase::Stopped);
    let left = connection.has_left() && !connection.scope.tasks.is_ending();
    if !left && (over || connection.scope.tasks.is_ending()) {
        return CallError::SessionClosed { delivery: Delivery::NotSent };
    }
    let why = || Arc::new(DownReason::new(connection.closing_cause()));
    let reason = if left { Some(why()) } else { reason };
    CallError::NotReady {
        server: connection.name().to_string(),
        phase: match () {
            () if left => Phase::Stopped,
            () if status.is_ready() => Phase::BackingOff,
            () => status.phase,
        },
        error: reason.map(ServerError::Down).or(status.last_error),
    }
}
