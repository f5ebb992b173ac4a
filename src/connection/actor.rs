//! The actor of one connection: performs what [`lifecycle`](super::lifecycle) decides, and is the
//! only place that writes a [`Status`].

mod status;

use std::{
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    Ask, Connection, Mailbox,
    epoch::{Epoch, Opened, Report, Reporter},
    handshake::Era,
    lifecycle::{Action, Fact, Lifecycle, State},
    link::Link,
    listing,
};
use crate::{
    census::Counted,
    error::{DownCause, DownReason, ServerError},
    record::EntryKind,
    spec::Opening,
    status::{Phase, Status},
};

use status::tell_all;
pub(crate) use status::{breaker_moved, bury, give_up, lose, restart, succeed};

pub(crate) struct ConnectionActor;

pub(crate) struct Arguments {
    pub(crate) connection: Arc<Connection>,
    /// Whether the actor before this one died of a defect.
    pub(crate) after_crash: bool,
}

pub(crate) struct ActorState {
    connection: Arc<Connection>,
    lifecycle: Lifecycle,
    born: Instant,
    era: Option<Era>,
    /// The latest link that was open.
    link: Option<Arc<Link>>,
    /// Ends the current epoch, also when this actor dies without a word.
    epoch: Option<DropGuard>,
    counted: Option<Counted>,
}

#[derive(Debug)]
pub(crate) enum Message {
    Start,
    Restart,
    Wake,
    Stop,
    Report(Report),
    Slept {
        epoch: u64,
    },
    #[cfg(test)]
    Panic,
}

impl Actor for ConnectionActor {
    type Msg = Message;
    type State = ActorState;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        Arguments { connection, after_crash }: Arguments,
    ) -> Result<ActorState, ActorProcessingErr> {
        let commands = myself.clone();
        let mailbox = Mailbox(Box::new(move |ask| {
            tell(
                &commands,
                match ask {
                    Ask::Restart => Message::Restart,
                    Ask::Wake => Message::Wake,
                },
            );
        }));
        connection.mailbox.store(Some(Arc::new(mailbox)));
        if connection.spec.opening == Opening::PerCall {
            connection.per_call().begin();
        }
        if connection.wake_early.swap(false, Ordering::SeqCst) {
            tell(&myself, Message::Wake);
        }
        let before = connection.status().epoch;
        let lifecycle = Lifecycle::asleep(connection.spec.restart.clone(), before);
        let mut state = ActorState {
            lifecycle,
            born: Instant::now(),
            era: None,
            link: None,
            epoch: None,
            counted: Some(connection.scope.census.actor()),
            connection,
        };
        if after_crash {
            state.recover(&myself);
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut ActorState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Start => state.take(&myself, Fact::StartAsked, None),
            Message::Restart => state.restart(&myself),
            Message::Wake => state.wake(&myself),
            Message::Stop => state.take(&myself, Fact::StopAsked, None),
            Message::Slept { epoch } => state.take(&myself, Fact::Slept { epoch }, None),
            Message::Report(report) => state.report(&myself, report),
            #[cfg(test)]
            Message::Panic => panic!("asked to"),
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Message>,
        state: &mut ActorState,
    ) -> Result<(), ActorProcessingErr> {
        // The state outlives the actor in its supervisor's mailbox.
        state.counted = None;
        Ok(())
    }
}

impl ActorState {
    /// Goes on where an actor died of a defect: its link is lost, and its process has to be gone
    /// before the next starts.
    fn recover(&mut self, myself: &ActorRef<Message>) {
        let Status { epoch, phase, .. } = self.connection.status();
        let eager = self.connection.spec.opening == Opening::Eager;
        let begun = epoch > self.connection.inherited.load(Ordering::Acquire);
        if phase == Phase::Idle && (begun || !eager) {
            self.lifecycle = Lifecycle::asleep(self.connection.spec.restart.clone(), epoch);
            return;
        }
        self.lifecycle = Lifecycle::after_crash(self.connection.spec.restart.clone(), epoch);
        self.connection.link.store(None);
        let reason = DownReason::new(DownCause::Internal);
        self.publish(phase, Some(ServerError::Down(Arc::new(reason))));
        let gone = self.connection.gone.load_full();
        let actor = myself.clone();
        self.connection.scope.tasks.spawn(&self.connection.span, async move {
            if let Some(gone) = gone {
                gone.cancelled().await;
            }
            tell(&actor, Message::Report(Report::Gone { epoch }));
        });
    }

    fn restart(&mut self, myself: &ActorRef<Message>) {
        let ready = self.lifecycle.state().phase() == Phase::Ready;
        let reason = || ServerError::Down(Arc::new(DownReason::new(DownCause::Restarted)));
        self.take(myself, Fact::RestartAsked, ready.then(reason));
    }

    /// Wakes it for a call. Its link may have ended for lack of use without that having been reported
    /// yet.
    fn wake(&mut self, myself: &ActorRef<Message>) {
        let unused = |link: &&Arc<Link>| link.down_reason().is_some_and(|why| why.is_unused());
        if let Some(link) = self.link.as_ref().filter(unused) {
            let epoch = link.epoch;
            self.take(myself, Fact::WentIdle { epoch }, None);
        }
        self.take(myself, Fact::WakeAsked, None);
    }

    fn report(&mut self, myself: &ActorRef<Message>, report: Report) {
        match report {
            Report::Opened { epoch, opened } => self.opened(myself, epoch, *opened),
            Report::StartFailed { epoch, error } => {
                let mut error = error.or_login();
                error.redact(&self.connection.scope.secrets.redactor);
                // What was believed of its era may have been what was wrong.
                self.era = None;
                let permanent = error.is_permanent();
                let fact = match error.needs_login() {
                    true => Fact::LoginNeeded { epoch },
                    false => Fact::StartFailed { epoch, permanent },
                };
                self.take(myself, fact, Some(ServerError::Connect(Arc::new(error))));
            }
            Report::WentDown { epoch, reason } if reason.is_unused() => {
                self.take(myself, Fact::WentIdle { epoch }, None);
            }
            Report::WentDown { epoch, reason } => {
                let fact = match reason.needs_login() {
                    true => Fact::LoginNeeded { epoch },
                    false => Fact::WentDown { epoch },
                };
                self.take(myself, fact, Some(ServerError::Down(reason)));
            }
            Report::Listed { epoch, listing } if epoch == self.lifecycle.state().epoch() => {
                listing::post(&self.connection, listing);
            }
            Report::Listed { .. } => {}
            Report::Gone { epoch } => self.take(myself, Fact::Gone { epoch }, None),
        }
    }

    /// Publishes the open link: its tools first, then the link, then the status, so that whoever
    /// sees the last has the others.
    fn opened(&mut self, myself: &ActorRef<Message>, epoch: u64, opened: Opened) {
        // A restart, or the end, may have been asked for while it opened.
        if self.lifecycle.state() != (State::Starting { epoch }) {
            return;
        }
        let Opened { link, agreement, listing, pid, transport } = opened;
        self.era = Some(agreement.era);
        listing::post(&self.connection, listing);
        // What changed while there was no link, nobody has told.
        self.connection.kept.forget_all();
        // Before anybody can call over it.
        link.note(EntryKind::Status, b"ready");
        self.link = Some(Arc::clone(&link));
        self.connection.link.store(Some(Arc::clone(&link)));
        self.connection.status.send_if_modified(|status| {
            (status.pid, status.transport) = (pid, Some(transport));
            status.protocol_version = Some(agreement.version);
            false
        });
        self.take(myself, Fact::Opened { epoch }, None);
        // One that went down before it was Ready told nobody; its `WentDown` is on its way.
        if let Some(reason) = link.down_reason() {
            lose(&self.connection, epoch, &reason);
        }
        if let Some(after) = self.connection.spec.stop_when_idle {
            let scope = &self.connection.scope;
            scope.tasks.spawn(&self.connection.span, link.end_when_unused(after));
        }
    }

    /// Takes a fact, publishes where that leads, and performs what follows.
    fn take(&mut self, myself: &ActorRef<Message>, fact: Fact, error: Option<ServerError>) {
        let before = self.lifecycle.state();
        let actions = self.lifecycle.step(fact, self.born.elapsed());
        if self.lifecycle.state() != before {
            self.publish(before.phase(), error);
        }
        if self.lifecycle.state().phase() != Phase::Ready {
            self.connection.link.store(None);
        }
        for action in actions {
            self.perform(myself, action);
        }
    }

    fn publish(&self, from: Phase, error: Option<ServerError>) {
        let state = self.lifecycle.state();
        let to = state.phase();
        let (mut published, mut restarted) = (None, None);
        self.connection.status.send_if_modified(|status| {
            let epoch = state.epoch();
            let asleep = from.is_asleep();
            if epoch > status.epoch && epoch > 1 && !asleep {
                status.restarts += 1;
                restarted = Some(status.last_error.as_ref().map_or("unknown", ServerError::kind));
            }
            status.epoch = epoch;
            if let Some(error) = &error {
                status.last_error = Some(error.clone());
            }
            if status.phase != to {
                (status.phase, status.since) = (to, SystemTime::now());
            }
            if to != Phase::Ready {
                (status.pid, status.protocol_version) = (None, None);
            }
            // Taken here, for a moment later it may be written again.
            published = (to != from).then(|| status.clone());
            to != from
        });
        // Told here, for whoever listens may ask for the status.
        if let Some(reason) = restarted {
            self.connection.usage.meter.restarted(reason);
        }
        if let Some(status) = published {
            self.tell_of(from, status, error.as_ref());
        }
    }

    fn tell_of(&self, from: Phase, status: Status, error: Option<&ServerError>) {
        let link = self.link.as_ref().filter(|link| link.epoch == status.epoch);
        // Whoever saw it Ready may have called already; nothing waited before.
        let link = link.filter(|_| !status.is_ready());
        let pending = link.map_or(0, |link| link.pending());
        tell_all(&self.connection, from, status, error, pending);
    }

    fn perform(&mut self, myself: &ActorRef<Message>, action: Action) {
        match action {
            Action::Open { epoch } => self.open(myself, epoch),
            Action::Close => self.close(),
            Action::Sleep { epoch, attempt } => self.sleep(myself, epoch, attempt),
            Action::Finish => self.finish(myself),
        }
    }

    /// Ends; where the session goes on, not before what calls have opened for themselves.
    fn finish(&self, myself: &ActorRef<Message>) {
        // Whoever closes a session waits for all of it.
        if !self.connection.has_left() {
            return myself.stop(None);
        }
        let (actor, connection) = (myself.clone(), Arc::clone(&self.connection));
        self.connection.scope.tasks.spawn(&self.connection.span, async move {
            if let Some(per_call) = connection.per_call.get() {
                per_call.end().await;
            }
            actor.stop(None);
        });
    }

    fn open(&mut self, myself: &ActorRef<Message>, number: u64) {
        let connection = Arc::clone(&self.connection);
        let stop = connection.end.child_token();
        self.epoch = Some(stop.clone().drop_guard());
        let span = connection.link_span(number);
        let actor = myself.clone();
        let report: Reporter = Arc::new(move |report| tell(&actor, Message::Report(report)));
        let gone = CancellationToken::new();
        connection.gone.store(Some(Arc::new(gone.clone())));
        let (era, tasks) = (self.era, TaskTracker::new());
        let epoch = Epoch { connection, number, era, stop, span: span.clone(), report, tasks };
        self.connection.scope.tasks.spawn(&span, async move {
            let _gone = gone.drop_guard();
            epoch.run().await;
        });
    }

    /// Ends the current epoch: callers first, then the process.
    fn close(&mut self) {
        let Some(stop) = self.epoch.take() else { return };
        let stopping = self.lifecycle.state().phase() == Phase::Stopping;
        let cause = if stopping { self.connection.closing_cause() } else { DownCause::Restarted };
        if let Some(link) = self.link.take() {
            link.go_down(DownReason::new(cause));
        }
        drop(stop);
    }

    fn sleep(&self, myself: &ActorRef<Message>, epoch: u64, attempt: u32) {
        let delay = self.connection.spec.restart.backoff.delay(attempt, fastrand::f64());
        let actor = myself.clone();
        let token = self.connection.end.clone();
        self.connection.scope.tasks.spawn(&self.connection.span, async move {
            if token.run_until_cancelled(tokio::time::sleep(delay)).await.is_some() {
                tell(&actor, Message::Slept { epoch });
            }
        });
    }
}

/// An actor that has ended takes no messages, and misses none.
fn tell(actor: &ActorRef<Message>, message: Message) {
    drop(actor.cast(message));
}
