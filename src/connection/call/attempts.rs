//! A call with policies on it: asked for, looked up, tried, and tried again.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Call, Stage, Way};
use crate::{
    approval::ApprovalRequest,
    arguments::Arguments,
    budget::Room,
    catalog::Tool,
    connection::{
        Connection,
        cache::Look,
        guard::{self, left, until},
        per_call, wake,
    },
    error::{CallError, CallLimit, Delivery},
    layer::{Request, Ticket},
    output::Output,
    policy::{RetryPolicy, WhenDown},
    spec::Opening,
    telemetry,
};

/// Makes a call, whatever its options say; inside of all layers.
pub(crate) async fn run(request: Request) -> Result<Output, CallError> {
    let Request { tool, arguments, ticket, .. } = request;
    if let Some(found) = arguments.unfit() {
        let (tool, found) = (tool.id().to_owned(), found.to_owned());
        return Err(CallError::InvalidArguments { tool, found });
    }
    #[cfg(feature = "validate")]
    crate::schema::check_arguments(&tool, &arguments)?;
    let attempts = Attempts::new(&tool, arguments.shared(), &ticket);
    attempts.approve().await?;
    let connection = tool.connection();
    let wanted = match connection.cache.look(&tool, &attempts.arguments, &tool.terms().meta) {
        Look::Kept(output) => {
            // It may be kept for a call that did not want to know.
            #[cfg(feature = "validate")]
            crate::schema::check_output(&tool, &output)?;
            return Ok(output);
        }
        // What it comes to may be a task, which is nobody else's.
        Look::Wanted(_) if ticket.detached => None,
        Look::Wanted(wanted) => Some(wanted),
        Look::Uncached => None,
    };
    let output = attempts.run().await?;
    #[cfg(feature = "validate")]
    if !(ticket.detached && super::continued::is_task(&output)) {
        crate::schema::check_output(&tool, &output)?;
    }
    if let Some(wanted) = wanted.filter(|_| output.is_of_any_call()) {
        connection.cache.keep(wanted, &output);
    }
    Ok(output)
}

/// The attempts of one call, which have one deadline.
struct Attempts<'a> {
    tool: &'a Tool,
    arguments: Arguments,
    ticket: &'a Ticket,
    deadline: Option<Instant>,
    policy: RetryPolicy,
}

impl<'a> Attempts<'a> {
    fn new(tool: &'a Tool, arguments: Arguments, ticket: &'a Ticket) -> Self {
        let total = tool.terms().timing.total;
        let deadline = total.and_then(|limit| ticket.began.checked_add(limit));
        let policy = tool.options().retry.unwrap_or_default();
        Self { tool, arguments, ticket, deadline, policy }
    }

    /// Asks the host, where it wants to be asked.
    async fn approve(&self) -> Result<(), CallError> {
        let Some(approval) = &self.connection().scope.approval else { return Ok(()) };
        let (tool, arguments) = (self.tool.clone(), self.arguments.clone());
        let decided = approval.decide(ApprovalRequest { tool, arguments });
        match until(self.deadline, decided).await {
            Some(crate::Decision::Allow) => Ok(()),
            Some(crate::Decision::Deny(reason)) => {
                Err(CallError::Denied { tool: self.tool.id().to_owned(), reason })
            }
            None => Err(self.timed_out()),
        }
    }

    /// Tries until it works, or may not be tried again, or the time is over.
    ///
    /// The error is that of the last attempt, unless an earlier one may have reached the server and
    /// the last did not: what the host has to know is that the server may have acted.
    async fn run(&self) -> Result<Output, CallError> {
        let mut may_have_acted = None;
        for retry in 1u32.. {
            let before = self.ticket.delivery();
            let error = match self.attempt().await {
                Ok(output) => {
                    self.ticket.sent(Delivery::Answered, before);
                    return Ok(output);
                }
                Err(error) => error,
            };
            self.ticket.sent(error.delivery(), before);
            let harmless = self.tool.is_harmless();
            let pause = self.policy.pause(retry, &error, harmless, fastrand::f64());
            let Some(pause) = pause.filter(|pause| self.has_time_for(*pause)) else {
                return Err(if error.delivery() == Delivery::NotSent {
                    may_have_acted.unwrap_or(error)
                } else {
                    error
                });
            };
            telemetry::call_is_tried_again(self.tool.id(), retry, &error, pause);
            if error.delivery() != Delivery::NotSent {
                may_have_acted = Some(error);
            }
            tokio::time::sleep(pause).await;
        }
        Err(self.timed_out())
    }

    fn has_time_for(&self, pause: Duration) -> bool {
        left(self.deadline).is_none_or(|left| pause < left)
    }

    async fn attempt(&self) -> Result<Output, CallError> {
        let queued = self.connection().usage.queue();
        let entered = guard::enter(self.connection(), self.deadline).await?;
        drop(queued);
        let outcome = if self.connection().spec.opening == Opening::PerCall {
            self.over_a_link_of_its_own().await
        } else {
            self.over_the_live_link().await
        };
        entered.settle(&outcome);
        outcome
    }

    /// Waits for its turn, unless it had that, and for room in the budgets.
    async fn admitted(&self, had_turn: &mut bool) -> Result<Room, CallError> {
        let _queued = self.connection().usage.queue();
        if !std::mem::replace(had_turn, true) {
            guard::turn(self.connection(), self.deadline).await?;
        }
        self.connection().room(self.arguments.size_hint(), self.deadline).await
    }

    async fn over_a_link_of_its_own(&self) -> Result<Output, CallError> {
        // Before there is a process that would wait with it.
        let _room = self.admitted(&mut false).await?;
        let transient = per_call::open(self.connection(), self.deadline).await?;
        let outcome = self.send(Way::Over(Arc::clone(&transient.link))).await;
        transient.close(self.deadline).await;
        outcome
    }

    async fn over_the_live_link(&self) -> Result<Output, CallError> {
        let connection = self.connection();
        let when_down = self.tool.options().when_down.unwrap_or_default();
        let mut had_turn = false;
        loop {
            let waits = when_down == WhenDown::Wait || connection.spec.sleeps();
            if waits {
                let _queued = connection.usage.queue();
                wake::link(connection, when_down, self.deadline).await?;
            }
            // Who waits for one server takes no room from the calls of others.
            let _room = self.admitted(&mut had_turn).await?;
            let outcome = self.send(Way::Live).await;
            // It may have fallen asleep, or been lost, in the moment before.
            let missed = matches!(outcome, Err(CallError::NotReady { .. }));
            let again = || when_down == WhenDown::Wait || waits && connection.falls_asleep();
            if !missed || !again() {
                return outcome;
            }
        }
    }

    /// One attempt, over a link that is up by all that is known.
    async fn send(&self, way: Way) -> Result<Output, CallError> {
        let left = left(self.deadline);
        if left.is_some_and(|left| left.is_zero()) {
            return Err(self.timed_out());
        }
        let (tool, arguments) = (self.tool.clone(), self.arguments.clone());
        let mut call = Call::new(Stage::Declared { tool, arguments });
        call.way = way;
        call.heed((self.ticket.progress.clone(), self.ticket.detached));
        call.total_timeout = left;
        if let Some(token) = &self.ticket.cancel {
            call = call.cancel_on(token.clone());
        }
        self.ticket.sending();
        let outcome = call.await;
        outcome.map_err(|error| self.with_whole_limit(error))
    }

    /// What ran out is the limit of the call, of which this attempt had the rest.
    fn with_whole_limit(&self, mut error: CallError) -> CallError {
        if let CallError::TimedOut { limit: CallLimit::Total, after, .. } = &mut error {
            *after = self.tool.terms().timing.total.unwrap_or_default();
        }
        error
    }

    fn timed_out(&self) -> CallError {
        CallError::TimedOut {
            server: self.tool.server().to_owned(),
            tool: self.tool.id().to_owned(),
            limit: CallLimit::Total,
            record: crate::record::Record::default(),
            after: self.tool.terms().timing.total.unwrap_or_default(),
            delivery: self.ticket.delivery(),
        }
    }

    fn connection(&self) -> &'a Arc<Connection> {
        self.tool.connection()
    }
}
