//! Errors without the secrets that a server may have put into them.
//!
//! What errors share (the reasons of lost links, answers of HTTP servers) has been redacted where it
//! was made.

#[cfg(feature = "oauth")]
use super::AuthError;
use super::{CallError, ConnectError};
use crate::{catalog::CatalogFault, redactor::Redactor};

impl CatalogFault {
    pub(crate) fn redact(&mut self, redactor: &Redactor) {
        match self {
            Self::BadTool { tool, reason, .. } => {
                redactor.redact_in_place(tool);
                redactor.redact_in_place(reason);
            }
            Self::CursorRepeated { cursor: text, .. }
            | Self::ListingFailed { reason: text, .. } => redactor.redact_in_place(text),
            Self::Collision { .. } | Self::TooManyPages { .. } | Self::TooManyTools { .. } => {}
        }
    }
}

impl ConnectError {
    pub(crate) fn redact(&mut self, redactor: &Redactor) {
        let text = match self {
            Self::Refused { message, .. } => message,
            Self::UnsupportedVersion { offered, .. } => offered,
            Self::InvalidAnswer { detail, .. } => detail,
            Self::CommandNotFound { .. }
            | Self::NotListening
            | Self::OverBudget(_)
            | Self::NoDirectory { .. }
            | Self::Secret(_)
            | Self::Spawn { .. }
            | Self::Ended { .. }
            | Self::TimedOut { .. }
            | Self::Http { .. } => return,
        };
        redactor.redact_in_place(text);
    }
}

#[cfg(feature = "oauth")]
impl AuthError {
    pub(crate) fn redact(&mut self, redactor: &Redactor) {
        match self {
            Self::Unusable { detail } | Self::LoginFailed { detail } => {
                redactor.redact_in_place(detail);
            }
            Self::Refused { code, description, .. } => {
                redactor.redact_in_place(code);
                redactor.redact_in_place(description);
            }
            Self::Unavailable { source, .. } => {
                if let std::borrow::Cow::Owned(text) = redactor.redact(&source.to_string()) {
                    *source = Box::<dyn std::error::Error + Send + Sync>::from(text).into();
                }
            }
            Self::ScopeRequired { scopes } => {
                scopes.iter_mut().for_each(|scope| redactor.redact_in_place(scope));
            }
            Self::Secret(_)
            | Self::LoginRequired { .. }
            | Self::Store(_)
            | Self::Key { .. }
            | Self::NoLogin => {}
        }
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
            | Self::OverBudget { .. }
            | Self::NotOffered { .. }
            | Self::ResourceNotFound { .. }
            | Self::UnroutedResource { .. }
            | Self::InputDeclined { .. }
            | Self::Unauthorized { .. }
            | Self::HttpStatus { .. }
            | Self::SessionClosed { .. } => {}
        }
    }
}
