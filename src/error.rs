//! The four questions that go unanswered elsewhere, each with its own type: is this declaration
//! nonsense ([`SpecError`]), why is it not up ([`ConnectError`]), why did that link end
//! ([`DownReason`]), and why have I no result, and may I repeat ([`CallError`])?

mod auth;
mod budget;
mod call;
mod connect;
mod down;
mod http;
mod record;
mod redact;
mod secret;
mod spec;
mod typed;

pub use auth::{AuthError, LoginReason};
pub use budget::{BudgetItem, LimitOf, OverBudget};
pub use call::{CallError, CallLimit, Delivery};
pub use connect::{ApplyError, ConnectError, OpenError, RequiredFailure, ServerError, Stage};
pub use down::{DownCause, DownReason};
pub use http::HttpError;
pub use secret::{SecretCause, SecretError};
pub use spec::SpecError;
pub use typed::TypedError;

use std::fmt;

/// What stands between a message and the lines from stderr.
const STDERR_FOLLOWS: &str = "; its last words on stderr:";

/// The message without what the server wrote on stderr: for the log, where that has its own place.
pub(crate) fn headline(error: &ServerError) -> String {
    let mut text = error.to_string();
    if let Some(end) = text.find(STDERR_FOLLOWS) {
        text.truncate(end);
    }
    text
}

/// Writes the captured stderr lines below a message, or nothing where there are none.
fn write_stderr(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    const SHOWN: usize = 5;
    if lines.is_empty() {
        return Ok(());
    }
    f.write_str(STDERR_FOLLOWS)?;
    for line in &lines[lines.len().saturating_sub(SHOWN)..] {
        write!(f, "\n  | {line}")?;
    }
    Ok(())
}
