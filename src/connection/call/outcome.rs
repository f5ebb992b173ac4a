//! What the host learns of how a call ended.

use crate::{
    catalog::Tool,
    connection::{
        Connection,
        about::About,
        link::{Link, Loss},
        requests::{Kind, kind},
    },
    error::CallError,
    output::Output,
    wire::{self, Answer, RawResult, RequestId},
};

/// The answer to a call, which need not be its end.
pub(super) struct Concluded {
    pub(super) result: RawResult,
    pub(super) kind: Kind,
}

pub(super) fn about(tool: &Tool) -> About<'_> {
    About { connection: tool.connection(), what: tool.id() }
}

/// What the answer to a call, or the lack of one, means to the host: errors without secrets.
pub(super) fn conclude(
    tool: &Tool,
    (link, id): (&Link, RequestId),
    outcome: Result<Vec<u8>, Loss>,
) -> Result<Concluded, CallError> {
    let about = about(tool);
    open(about, link, outcome)
        .map_err(|error| about.redacted(error).on_record(|| link.record_of(id)))
}

fn open(
    about: About<'_>,
    link: &Link,
    outcome: Result<Vec<u8>, Loss>,
) -> Result<Concluded, CallError> {
    let frame = outcome.map_err(|loss| about.lost(link.epoch, loss))?;
    match wire::open_answer(frame).map_err(|detail| about.invalid(detail))? {
        Answer::Result(result) => {
            let kind = kind(&result, link.era()).map_err(|detail| about.invalid(detail))?;
            Ok(Concluded { result, kind })
        }
        Answer::Error(error) => Err(about.rejected(error)),
    }
}

/// A result as it reaches the host: without secrets, where the session wants that.
pub(super) fn output(connection: &Connection, result: RawResult) -> Output {
    let (output, secrets) = (Output::new(result), &connection.scope.secrets);
    if !secrets.redact_results || secrets.redactor.is_idle() {
        return output;
    }
    output.redacted(&secrets.redactor)
}
