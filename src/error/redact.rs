//! Errors without the secrets that a server may have put into them.
//!
//! What errors share (the reasons of lost links, answers of HTTP servers) has been redacted where it
//! was made.

use super::{CallError, ConnectError};
use crate::redactor::Redactor;

impl ConnectError {
    pub(crate) fn redact(&mut self, redactor: &Redactor) {
        let text = match self {
            Self::Refused { message, .. } => message,
            Self::UnsupportedVersion { offered } => offered,
            Self::InvalidAnswer { detail, .. } => detail,
            Self::CommandNotFound { .. }
            | Self::NoDirectory { .. }
            | Self::Secret(_)
            | Self::Spawn { .. }
            | Self::Ended { .. }
            | Self::TimedOut { .. }
            | Self::Http(_) => return,
        };
        redactor.redact_in_place(text);
    }
}

impl CallError {
    pub(crate) fn redact(&mut self, redactor: &Redactor) {
        match self {
            Self::Rejected { message, data, .. } => {
                redactor.redact_in_place(message);
                if let Some(redacted) = data.as_ref().and_then(|data| redactor.redact_json(data)) {
                    *data = Some(redacted);
                }
            }
            Self::InvalidResponse { detail, .. } => redactor.redact_in_place(detail),
            Self::UnknownTool { .. }
            | Self::AmbiguousTool { .. }
            | Self::InvalidArguments { .. }
            | Self::NotReady { .. }
            | Self::SecretOutOfScope { .. }
            | Self::SchemaMismatch { .. }
            | Self::CircuitOpen { .. }
            | Self::RateLimited { .. }
            | Self::Denied { .. }
            | Self::Middleware { .. }
            | Self::TransportDown { .. }
            | Self::TimedOut { .. }
            | Self::Cancelled { .. }
            | Self::Overloaded { .. }
            | Self::HttpStatus { .. }
            | Self::SessionClosed { .. } => {}
        }
    }
}
