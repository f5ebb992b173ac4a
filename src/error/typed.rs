//! Why a typed call has no value.

use super::{CallError, Delivery};
use crate::output::Output;

/// Why [`Tool::call_as`](crate::Tool::call_as) has no value.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TypedError {
    /// The call has no result.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The tool ran, and says that it failed.
    #[error("tool {tool:?} failed: {}", output.text())]
    Tool {
        /// The tool id that was called.
        tool: String,
        /// What it answered.
        output: Output,
    },
    /// The tool answered something that does not fit the type.
    #[error("the answer of {tool:?} does not fit: {detail}")]
    Mismatch {
        /// The tool id that was called.
        tool: String,
        /// What does not fit.
        detail: String,
    },
}

impl TypedError {
    /// A stable name of the kind of error, in snake case: that of the [`CallError`], or `tool_error`
    /// or `invalid_response`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Call(error) => error.kind(),
            Self::Tool { .. } => "tool_error",
            Self::Mismatch { .. } => "invalid_response",
        }
    }

    /// Whether the server may have acted, and so whether the call may be repeated.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::Call(error) => error.delivery(),
            Self::Tool { .. } | Self::Mismatch { .. } => Delivery::Answered,
        }
    }
}
