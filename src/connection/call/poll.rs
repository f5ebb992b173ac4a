//! A call on its way, from poll to poll.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;

use super::{
    Call, Kept, Stage, Way,
    continued::Continued,
    outcome::{Concluded, about, conclude, output},
    relisted::Again,
};
use crate::{
    catalog::Tool,
    connection::{
        link::{Link, Loss},
        requests::Kind,
    },
    error::CallError,
    output::Output,
    telemetry::Traced,
    usage::Ending,
};

impl Future for Call {
    type Output = Result<Output, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.advance(cx));
        if let Some(running) = self.running.take() {
            running.end(Ending::of(&outcome), self.came.take().unwrap_or_else(Instant::now));
        }
        Poll::Ready(outcome)
    }
}

impl Call {
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<Output, CallError>> {
        if self.is_cancelled(cx) && !matches!(self.stage, Stage::Ended) {
            return Poll::Ready(Err(self.cancel()));
        }
        if let Stage::Declared { .. } | Stage::Unlisted { .. } | Stage::Refused { .. } = self.stage
        {
            if let Err(error) = self.begin(cx.waker()) {
                return Poll::Ready(Err(error));
            }
            // The request knows whom to wake, so there is mostly nothing to poll yet.
            if matches!(&self.stage, Stage::Waiting { reply, .. } if !reply.is_driven()) {
                return Poll::Pending;
            }
        }
        match &mut self.stage {
            Stage::Waiting { reply, .. } => {
                let outcome = ready!(Pin::new(reply).poll(cx));
                self.answered(cx, outcome)
            }
            Stage::Relisted(relisted) => {
                let outcome = ready!(relisted.as_mut().poll(cx));
                self.finish(outcome)
            }
            Stage::Continued(continued) => {
                let outcome = ready!(continued.poll(cx));
                std::mem::replace(&mut continued.span, Traced::none()).call_ended(outcome.as_ref());
                self.finish(outcome)
            }
            Stage::Guarded(guarded) => {
                let outcome = ready!(Pin::new(&mut *guarded).poll(cx));
                if let (Some(tool), Some(running)) = (guarded.found(), &mut self.running) {
                    running.is_of(tool);
                }
                self.finish(outcome)
            }
            Stage::Declared { .. }
            | Stage::Refused { .. }
            | Stage::Unlisted { .. }
            | Stage::Ended => Poll::Pending,
        }
    }

    /// Takes the answer to the request, which may be the end of the call.
    fn answered(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Result<Vec<u8>, Loss>,
    ) -> Poll<Result<Output, CallError>> {
        let stage = std::mem::replace(&mut self.stage, Stage::Ended);
        let Stage::Waiting { tool, reply, span, kept } = stage else { return Poll::Pending };
        self.came = Some(reply.came());
        let link = reply.link();
        match conclude(&tool, (link, reply.id()), outcome) {
            Ok(concluded) if concluded.kind != Kind::Complete => {
                let link = Arc::clone(link);
                self.go_on(cx, (tool, span), (concluded, link, kept))
            }
            outcome => {
                let outcome = outcome.map(|concluded| output(tool.connection(), concluded.result));
                span.call_ended(outcome.as_ref());
                self.end(cx, (tool, link), (outcome, kept))
            }
        }
    }
}

impl Call {
    fn finish(&mut self, outcome: Result<Output, CallError>) -> Poll<Result<Output, CallError>> {
        self.stage = Stage::Ended;
        // Whoever listens learns of the end.
        self.more = None;
        Poll::Ready(outcome)
    }

    /// Ends with this outcome, unless it can be mended.
    fn end(
        &mut self,
        cx: &mut Context<'_>,
        (tool, link): (Tool, &Arc<Link>),
        (outcome, kept): (Result<Output, CallError>, Option<Kept>),
    ) -> Poll<Result<Output, CallError>> {
        let Some(kept) = kept.filter(|_| outcome.is_err()) else { return self.finish(outcome) };
        let timing = self.timing(tool.terms().timing);
        if let Some(urls) = Continued::urls_of(&outcome, &tool) {
            let over = self.own_link();
            self.came = None;
            let (urls, more) = ((urls, link), (timing, self.wishes()));
            self.stage = Stage::Continued(Continued::after_urls((tool, over), urls, kept, more));
            return self.advance(cx);
        }
        // A link of its own is not kept for a second attempt.
        let first = !self.once && self.own_link().is_none();
        if !(first && link.mirrors() && Again::is_called_for(&outcome)) {
            return self.finish(outcome);
        }
        let (Kept { arguments, began }, total) = (kept, timing.total);
        let (idle_timeout, more) = (self.idle_timeout, self.wishes());
        let again = Again { arguments, began, idle_timeout, total, more };
        self.came = None;
        self.stage = Stage::Relisted(again.start(tool, outcome));
        self.advance(cx)
    }

    /// Goes on with a call that the server answered by questions, or by a task.
    fn go_on(
        &mut self,
        cx: &mut Context<'_>,
        (tool, span): (Tool, Traced),
        (concluded, link, kept): (Concluded, Arc<Link>, Option<Kept>),
    ) -> Poll<Result<Output, CallError>> {
        let more = self.more.as_ref();
        if more.is_some_and(|more| more.detached) && concluded.kind == Kind::Task {
            let outcome = Ok(Output::new(concluded.result));
            span.call_ended(outcome.as_ref());
            return self.finish(outcome);
        }
        let Some(kept) = kept else {
            let outcome = Err(about(&tool).never_asked());
            span.call_ended(outcome.as_ref());
            return self.finish(outcome);
        };
        self.came = None;
        let timing = self.timing(tool.terms().timing);
        let mut continued = Continued::question(&tool, &kept, self.own_link());
        (continued.progress, continued.detached) = self.wishes();
        self.stage = Stage::Continued(Continued::new(
            (tool, span),
            continued,
            (concluded, link),
            (timing, kept.began),
        ));
        self.advance(cx)
    }

    /// The link of its own, if it has one.
    fn own_link(&self) -> Option<Arc<Link>> {
        if let Way::Over(link) = &self.way { Some(Arc::clone(link)) } else { None }
    }
}
