//! Errors with what went over the link that they come from.

use std::sync::Arc;

use super::{CallError, ConnectError, ServerError};
use crate::record::Record;

impl CallError {
    /// What went over the link, of the errors that came over one: the latest, and what belongs to
    /// the call. Empty for others, and where nothing was kept.
    #[must_use]
    pub fn record(&self) -> Record {
        match self {
            Self::TransportDown { reason, .. } => reason.record().clone(),
            Self::NotReady { error: Some(error), .. } => error.record().clone(),
            Self::TimedOut { record, .. }
            | Self::Rejected { record, .. }
            | Self::HttpStatus { record, .. }
            | Self::Unauthorized { record, .. }
            | Self::InvalidResponse { record, .. } => record.clone(),
            Self::UnknownTool { .. }
            | Self::AmbiguousTool { .. }
            | Self::InvalidArguments { .. }
            | Self::SchemaMismatch { .. }
            | Self::SecretOutOfScope { .. }
            | Self::NotReady { error: None, .. }
            | Self::Cancelled { .. }
            | Self::Overloaded { .. }
            | Self::NotOffered { .. }
            | Self::ResourceNotFound { .. }
            | Self::UnroutedResource { .. }
            | Self::InputDeclined { .. }
            | Self::CircuitOpen { .. }
            | Self::RateLimited { .. }
            | Self::OverBudget { .. }
            | Self::Denied { .. }
            | Self::Middleware { .. }
            | Self::SessionClosed { .. } => Record::default(),
        }
    }

    /// Puts on it what went over its link, where it has a place for that and has none yet.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others did not come over a link")]
    pub(crate) fn on_record(mut self, taken: impl FnOnce() -> Record) -> Self {
        let place = match &mut self {
            Self::TimedOut { record, .. }
            | Self::Rejected { record, .. }
            | Self::HttpStatus { record, .. }
            | Self::Unauthorized { record, .. }
            | Self::InvalidResponse { record, .. } => Some(record),
            // One that other calls share has it.
            Self::TransportDown { reason, .. } => {
                Arc::get_mut(reason).map(|reason| &mut reason.record)
            }
            _ => None,
        };
        if let Some(place) = place.filter(|place| place.is_empty()) {
            *place = taken();
        }
        self
    }
}

impl ConnectError {
    /// What went over the link, where there was one; empty otherwise.
    #[must_use]
    pub fn record(&self) -> &Record {
        const NONE: &Record = &Record::none();
        match self {
            Self::Ended { reason, .. } => reason.record(),
            Self::TimedOut { record, .. }
            | Self::Refused { record, .. }
            | Self::UnsupportedVersion { record, .. }
            | Self::InvalidAnswer { record, .. }
            | Self::Http { record, .. } => record,
            Self::CommandNotFound { .. }
            | Self::NoDirectory { .. }
            | Self::Secret(_)
            | Self::Spawn { .. }
            | Self::NotListening
            | Self::OverBudget(_) => NONE,
        }
    }

    /// Puts on it what went over its link, where it has a place for that and has none yet.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others have no place for it")]
    pub(crate) fn on_record(mut self, taken: impl FnOnce() -> Record) -> Self {
        let place = match &mut self {
            Self::TimedOut { record, .. }
            | Self::Refused { record, .. }
            | Self::UnsupportedVersion { record, .. }
            | Self::InvalidAnswer { record, .. }
            | Self::Http { record, .. } => Some(record),
            _ => None,
        };
        if let Some(place) = place.filter(|place| place.is_empty()) {
            *place = taken();
        }
        self
    }
}

impl ServerError {
    /// What went over the link, where there was one; empty otherwise.
    #[must_use]
    pub fn record(&self) -> &Record {
        match self {
            Self::Connect(error) => error.record(),
            Self::Down(reason) => reason.record(),
        }
    }
}
