//! What a connection does next: (state, fact) → (state, actions). Read this first.
//!
//! Pure: no I/O, no clock, no actor. Times are durations since the connection began, so that a test
//! can be a table. Whoever wants to know what happens to a server that dies, hangs or flaps finds
//! it here; [`actor`](super::actor) only performs it.
//!
//! ```text
//! Idle ──► Starting ──► Ready ──► GoingIdle ──► Idle      nobody uses it; the next call wakes it
//!             │  ▲        │          a start fails, a link goes down
//!             ▼  │        ▼
//!            BackingOff ◄─┘          sleeps, and waits until the old process is gone
//!             │
//!             ▼
//!            Failed                  gave up; a restart by hand leads on
//!            AuthRequired            a person has to log in; that leads on, as a restart does
//!
//! anything ──► Stopping ──► Stopped  the session ends
//! ```

use std::time::Duration;

use crate::{
    policy::{Intensity, RestartMode, RestartPolicy},
    status::Phase,
};

/// Where a connection stands, for those who run it; the host sees its [`Phase`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not started yet, or stopped because nobody used it: nothing is left of the link of this
    /// epoch (0 before the first).
    Idle { epoch: u64 },
    /// The link of this epoch is being opened.
    Starting { epoch: u64 },
    /// The link of this epoch is open.
    Ready { epoch: u64 },
    /// The link of this epoch is lost. The next start waits for the backoff and for the old process
    /// to be gone: two instances at once could fight over a port or a file.
    BackingOff { epoch: u64, asleep: bool, gone: bool },
    /// The link of this epoch ended because nobody used it, and its process is being stopped. Where
    /// it is wanted again by now, the next start only waits for that.
    GoingIdle { epoch: u64, wanted: bool },
    /// Given up after the link of this epoch.
    Failed { epoch: u64, gone: bool },
    /// A person has to log in before the link after this epoch's is opened.
    AuthRequired { epoch: u64, gone: bool },
    /// The session ends, and the process of this epoch is still being stopped.
    Stopping { epoch: u64 },
    /// Over.
    Stopped { epoch: u64 },
}

/// Something that happened or was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    StartAsked,
    /// A call wants a server that is asleep.
    WakeAsked,
    RestartAsked,
    StopAsked,
    /// The link is open, its tools are listed.
    Opened {
        epoch: u64,
    },
    /// The link could not be opened.
    StartFailed {
        epoch: u64,
        permanent: bool,
    },
    /// The link could not be opened, or the open link ended, for a person has to log in.
    LoginNeeded {
        epoch: u64,
    },
    /// The open link ended.
    WentDown {
        epoch: u64,
    },
    /// The open link ended because nobody used it.
    WentIdle {
        epoch: u64,
    },
    /// The backoff is over.
    Slept {
        epoch: u64,
    },
    /// Nothing of the link's process is left.
    Gone {
        epoch: u64,
    },
}

/// Something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Open the link of this epoch.
    Open { epoch: u64 },
    /// End the current link and stop its process; `Gone` follows.
    Close,
    /// Report `Slept` after the delay for this attempt (from 0).
    Sleep { epoch: u64, attempt: u32 },
    /// Nothing more will happen: the actor may end.
    Finish,
}

/// The state of one connection and the history that its policy looks at.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle {
    state: State,
    policy: RestartPolicy,
    intensity: Intensity,
    /// Restarts since the last sustained uptime: how far the backoff has grown.
    attempts: u32,
    ready_since: Option<Duration>,
}

impl Lifecycle {
    pub(crate) fn new(policy: RestartPolicy) -> Self {
        Self {
            state: State::Idle { epoch: 0 },
            policy,
            intensity: Intensity::default(),
            attempts: 0,
            ready_since: None,
        }
    }

    /// Goes on after an actor that died of a defect: its last link counts as lost.
    pub(crate) fn after_crash(policy: RestartPolicy, epoch: u64) -> Self {
        let state = State::BackingOff { epoch, asleep: false, gone: false };
        Self { state, ..Self::new(policy) }
    }

    /// Goes on after an actor that died of a defect while nothing was up.
    pub(crate) fn asleep(policy: RestartPolicy, epoch: u64) -> Self {
        Self { state: State::Idle { epoch }, ..Self::new(policy) }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Takes one fact at `now`, the time since the connection began.
    ///
    /// A fact of another epoch than the current is late, and changes nothing.
    pub(crate) fn step(&mut self, fact: Fact, now: Duration) -> Vec<Action> {
        if fact.epoch().is_some_and(|epoch| epoch != self.state.epoch()) {
            return Vec::new();
        }
        match fact {
            Fact::StartAsked => self.start_asked(),
            Fact::WakeAsked => self.wake_asked(),
            Fact::RestartAsked => self.restart_asked(),
            Fact::StopAsked => self.stop_asked(),
            Fact::Opened { epoch } => self.opened(epoch, now),
            Fact::StartFailed { permanent, .. } => self.start_failed(permanent, now),
            Fact::LoginNeeded { .. } => self.login_needed(),
            Fact::WentDown { .. } => self.went_down(now),
            Fact::WentIdle { epoch } => self.went_idle(epoch, now),
            Fact::Slept { .. } => self.slept(),
            Fact::Gone { .. } => self.gone(),
        }
    }

    fn start_asked(&mut self) -> Vec<Action> {
        match self.state {
            State::Idle { .. } => self.open(),
            State::Starting { .. }
            | State::Ready { .. }
            | State::BackingOff { .. }
            | State::GoingIdle { .. }
            | State::Failed { .. }
            | State::AuthRequired { .. }
            | State::Stopping { .. }
            | State::Stopped { .. } => Vec::new(),
        }
    }

    /// Only wakes what is asleep: what is down is its policy's to start again.
    fn wake_asked(&mut self) -> Vec<Action> {
        match self.state {
            State::Idle { .. } => self.open(),
            State::GoingIdle { epoch, .. } => {
                self.state = State::GoingIdle { epoch, wanted: true };
                Vec::new()
            }
            State::Starting { .. }
            | State::Ready { .. }
            | State::BackingOff { .. }
            | State::Failed { .. }
            | State::AuthRequired { .. }
            | State::Stopping { .. }
            | State::Stopped { .. } => Vec::new(),
        }
    }

    /// A restart by hand is not held to the policy: it forgets all that went before.
    fn restart_asked(&mut self) -> Vec<Action> {
        self.forget_restarts();
        match self.state {
            State::Idle { .. } => self.open(),
            State::GoingIdle { epoch, .. } => self.wait(epoch, false, false),
            State::Starting { epoch } | State::Ready { epoch } => {
                self.state = State::BackingOff { epoch, asleep: false, gone: false };
                vec![Action::Close]
            }
            State::BackingOff { epoch, gone, .. }
            | State::Failed { epoch, gone }
            | State::AuthRequired { epoch, gone } => self.wait(epoch, false, gone),
            State::Stopping { .. } | State::Stopped { .. } => Vec::new(),
        }
    }

    fn stop_asked(&mut self) -> Vec<Action> {
        match self.state {
            State::Starting { epoch }
            | State::Ready { epoch }
            | State::BackingOff { epoch, gone: false, .. }
            | State::GoingIdle { epoch, .. }
            | State::Failed { epoch, gone: false }
            | State::AuthRequired { epoch, gone: false } => {
                self.state = State::Stopping { epoch };
                vec![Action::Close]
            }
            State::Idle { .. }
            | State::BackingOff { gone: true, .. }
            | State::Failed { gone: true, .. }
            | State::AuthRequired { gone: true, .. } => {
                self.state = State::Stopped { epoch: self.state.epoch() };
                vec![Action::Finish]
            }
            State::Stopping { .. } | State::Stopped { .. } => Vec::new(),
        }
    }

    fn opened(&mut self, epoch: u64, now: Duration) -> Vec<Action> {
        if let State::Starting { .. } = self.state {
            self.state = State::Ready { epoch };
            self.ready_since = Some(now);
        }
        Vec::new()
    }

    fn start_failed(&mut self, permanent: bool, now: Duration) -> Vec<Action> {
        match self.state {
            State::Starting { epoch } => self.lost(epoch, permanent, now),
            State::Idle { .. }
            | State::GoingIdle { .. }
            | State::Ready { .. }
            | State::BackingOff { .. }
            | State::Failed { .. }
            | State::AuthRequired { .. }
            | State::Stopping { .. }
            | State::Stopped { .. } => Vec::new(),
        }
    }

    fn went_down(&mut self, now: Duration) -> Vec<Action> {
        match self.state {
            State::Ready { epoch } => {
                self.end_uptime(now);
                self.lost(epoch, false, now)
            }
            State::Idle { .. }
            | State::GoingIdle { .. }
            | State::Starting { .. }
            | State::BackingOff { .. }
            | State::Failed { .. }
            | State::AuthRequired { .. }
            | State::Stopping { .. }
            | State::Stopped { .. } => Vec::new(),
        }
    }

    /// Waits for a person, who is no matter of the policy.
    fn login_needed(&mut self) -> Vec<Action> {
        if let State::Starting { epoch } | State::Ready { epoch } = self.state {
            self.ready_since = None;
            self.state = State::AuthRequired { epoch, gone: false };
        }
        Vec::new()
    }

    /// Going idle is not a failure: nothing is counted, and nothing starts by itself.
    fn went_idle(&mut self, epoch: u64, now: Duration) -> Vec<Action> {
        if let State::Ready { .. } = self.state {
            self.end_uptime(now);
            self.state = State::GoingIdle { epoch, wanted: false };
        }
        Vec::new()
    }

    fn end_uptime(&mut self, now: Duration) {
        let since = self.ready_since.take().unwrap_or(now);
        if now.saturating_sub(since) >= self.policy.reset_after {
            self.forget_restarts();
        }
    }

    /// Decides whether a lost link is followed by another.
    fn lost(&mut self, epoch: u64, permanent: bool, now: Duration) -> Vec<Action> {
        let wanted = match self.policy.mode {
            RestartMode::Never => false,
            RestartMode::OnFailure => !permanent,
            RestartMode::Always => true,
        };
        if !wanted || !self.intensity.admit(now, &self.policy) {
            self.state = State::Failed { epoch, gone: false };
            return Vec::new();
        }
        self.state = State::BackingOff { epoch, asleep: true, gone: false };
        self.attempts += 1;
        vec![Action::Sleep { epoch, attempt: self.attempts - 1 }]
    }

    fn forget_restarts(&mut self) {
        self.intensity.reset();
        self.attempts = 0;
    }

    fn slept(&mut self) -> Vec<Action> {
        match self.state {
            State::BackingOff { epoch, gone, .. } => self.wait(epoch, false, gone),
            State::Idle { .. }
            | State::GoingIdle { .. }
            | State::Starting { .. }
            | State::Ready { .. }
            | State::Failed { .. }
            | State::AuthRequired { .. }
            | State::Stopping { .. }
            | State::Stopped { .. } => Vec::new(),
        }
    }

    fn gone(&mut self) -> Vec<Action> {
        match self.state {
            State::BackingOff { epoch, asleep, .. } => self.wait(epoch, asleep, true),
            State::Failed { epoch, .. } => {
                self.state = State::Failed { epoch, gone: true };
                Vec::new()
            }
            State::AuthRequired { epoch, .. } => {
                self.state = State::AuthRequired { epoch, gone: true };
                Vec::new()
            }
            State::GoingIdle { wanted: true, .. } => self.open(),
            State::GoingIdle { epoch, wanted: false } => {
                self.state = State::Idle { epoch };
                Vec::new()
            }
            State::Stopping { epoch } => {
                self.state = State::Stopped { epoch };
                vec![Action::Finish]
            }
            State::Idle { .. }
            | State::Starting { .. }
            | State::Ready { .. }
            | State::Stopped { .. } => Vec::new(),
        }
    }

    /// Starts again once the backoff is over and the old process is gone.
    fn wait(&mut self, epoch: u64, asleep: bool, gone: bool) -> Vec<Action> {
        self.state = State::BackingOff { epoch, asleep, gone };
        if asleep || !gone { Vec::new() } else { self.open() }
    }

    fn open(&mut self) -> Vec<Action> {
        let epoch = self.state.epoch() + 1;
        self.state = State::Starting { epoch };
        vec![Action::Open { epoch }]
    }
}

impl State {
    /// The number of the current or latest link; 0 before the first.
    pub(crate) fn epoch(self) -> u64 {
        match self {
            Self::Idle { epoch }
            | Self::GoingIdle { epoch, .. }
            | Self::Starting { epoch }
            | Self::Ready { epoch }
            | Self::BackingOff { epoch, .. }
            | Self::Failed { epoch, .. }
            | Self::AuthRequired { epoch, .. }
            | Self::Stopping { epoch }
            | Self::Stopped { epoch } => epoch,
        }
    }

    pub(crate) fn phase(self) -> Phase {
        match self {
            Self::Idle { .. } => Phase::Idle,
            Self::GoingIdle { .. } => Phase::GoingIdle,
            Self::Starting { .. } => Phase::Starting,
            Self::Ready { .. } => Phase::Ready,
            Self::BackingOff { .. } => Phase::BackingOff,
            Self::Failed { .. } => Phase::Failed,
            Self::AuthRequired { .. } => Phase::AuthRequired,
            Self::Stopping { .. } => Phase::Stopping,
            Self::Stopped { .. } => Phase::Stopped,
        }
    }
}

impl Fact {
    /// The epoch that it belongs to; what the host asks for belongs to none.
    fn epoch(self) -> Option<u64> {
        match self {
            Self::StartAsked | Self::WakeAsked | Self::RestartAsked | Self::StopAsked => None,
            Self::Opened { epoch }
            | Self::StartFailed { epoch, .. }
            | Self::LoginNeeded { epoch }
            | Self::WentDown { epoch }
            | Self::WentIdle { epoch }
            | Self::Slept { epoch }
            | Self::Gone { epoch } => Some(epoch),
        }
    }
}

#[cfg(test)]
mod tests;
