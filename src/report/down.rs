//! Reports of links that ended.

use super::{Diagnosis, Exit, Report, clues::Said, process};
use crate::error::{DownCause, DownReason, LimitOf};

impl DownReason {
    /// What is known of it, for a person.
    #[must_use]
    pub fn report(&self) -> Report {
        of(self, false)
    }
}

/// `starting` is whether the server had not been ready yet.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others have nothing behind them")]
pub(super) fn of(reason: &DownReason, starting: bool) -> Report {
    let exit = reason.exit_code().map(Exit::Code).or(reason.signal().map(Exit::Signal));
    let stderr = reason.stderr_tail();
    let report =
        Report::new("transport_down", reason.kind().to_string()).on_record(reason.record());
    let said = Said { stderr, record: &report.record };
    let diagnosis = match exit {
        Some(exit) => process::ended(exit, said, starting),
        None => diagnose(reason.kind()),
    };
    let report = Report { exit, stderr: stderr.to_vec(), ..report };
    match reason.kind() {
        DownCause::Http(error) => report.answered(error),
        _ => report.diagnosed(diagnosis),
    }
}

fn diagnose(cause: &DownCause) -> Option<Diagnosis> {
    Some(match cause {
        DownCause::StreamEnded => Diagnosis::new(
            "stdout_closed",
            "its main part is gone while its process lives: a wrapper lost the program that it \
             runs, or the server ended its transport",
            "start the program itself, without a wrapper; look into the log of the server",
        ),
        DownCause::WriteFailed(_) => Diagnosis::new(
            "stdin_closed",
            "it closed its stdin while its process lives: a wrapper lost the program that it runs",
            "start the program itself, without a wrapper",
        ),
        DownCause::FrameTooLarge { .. } => Diagnosis::help(
            "raise Limits::max_frame if answers of that size are meant to be; ask the server for \
             less at once otherwise",
        ),
        DownCause::NotReading { .. } => Diagnosis::new(
            "not_reading",
            "it floods us with questions and has stopped to read the answers",
            "update it: this is a defect of the server",
        ),
        DownCause::HttpSessionLost => Diagnosis::new(
            "session_lost",
            "the server was restarted, or forgets its sessions after a while; or a balancer sends \
             us to another instance",
            "nothing, if it comes back by itself; otherwise bind sessions to instances",
        ),
        DownCause::ProtocolChanged => Diagnosis::new(
            "server_exchanged",
            "another version of the server has taken its place",
            "nothing: it is asked anew",
        ),
        DownCause::Memory { of, .. } => Diagnosis::new(
            "memory",
            "it keeps more and more, or is given more to do than was thought of",
            match of {
                LimitOf::Server => "raise Limits::max_memory if it needs that much",
                LimitOf::Session | LimitOf::Runtime => {
                    "raise Budget::memory if the servers need that much together"
                }
            },
        ),
        DownCause::Unresponsive { .. } | DownCause::Unanswered { .. } => Diagnosis::new(
            "unresponsive",
            "it hangs, or is overloaded, or the network to it is gone",
            "look at the load of the server, and into its log",
        ),
        DownCause::Http(_)
        | DownCause::Exited { .. }
        | DownCause::Signalled { .. }
        | DownCause::ReadFailed(_)
        | DownCause::Restarted
        | DownCause::Unused
        | DownCause::Removed
        | DownCause::SessionClosed => return None,
        DownCause::Internal => Diagnosis::help(
            "the host's log has the panic: mend it if it is in code of the host, such as what \
             provides secrets; otherwise it is a defect of callboard: please report it",
        ),
    })
}
