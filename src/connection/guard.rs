//! What stands between the calls of a server and its link: breaker, places, rate limit.

use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use super::{Connection, actor};
use crate::{
    error::{CallError, Delivery},
    output::Output,
    policy::{Account, Admission, Breaker, BreakerPhase, Verdict},
    spec::{Opening, ServerSpec},
    status::BreakerState,
};

/// The guard of one server, through all its epochs.
#[derive(Debug)]
pub(crate) struct Guard {
    born: Instant,
    breaker: Option<Mutex<Breaker>>,
    places: Option<Semaphore>,
    account: Option<Mutex<Account>>,
}

impl Guard {
    pub(crate) fn new(spec: &ServerSpec) -> Self {
        // Each such call or request is a process of its own, so there is always a bound.
        let per_call = (spec.opening == Opening::PerCall).then_some(spec.limits.max_calls);
        let places = spec.limits.max_concurrent.or(per_call);
        Self {
            born: Instant::now(),
            breaker: spec.breaker.map(|policy| Mutex::new(Breaker::new(policy))),
            places: places.map(|count| Semaphore::new(count.min(Semaphore::MAX_PERMITS))),
            account: spec.rate_limit.map(|limit| Mutex::new(Account::new(limit))),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.breaker.is_some() || self.places.is_some() || self.account.is_some()
    }

    pub(crate) fn breaker_state(&self) -> Option<BreakerState> {
        let phase = self.breaker.as_ref()?.lock().phase();
        Some(match phase {
            BreakerPhase::Closed { .. } => BreakerState::Closed,
            BreakerPhase::HalfOpen => BreakerState::HalfOpen,
            BreakerPhase::Open { until } => {
                let left = until.saturating_sub(self.born.elapsed());
                BreakerState::Open { until: time_of_day_after(left) }
            }
        })
    }
}

/// Lets a call in, or says why not: at once where the breaker is open, otherwise after a wait for a
/// place that is no longer than until its deadline.
pub(super) async fn enter(
    connection: &Connection,
    deadline: Option<Instant>,
) -> Result<Entered<'_>, CallError> {
    let guard = &connection.guard;
    let pass = guard.breaker.as_ref().map(|breaker| Pass::take(connection, breaker)).transpose()?;
    let place = place(connection, deadline).await?;
    Ok(Entered { pass, _place: place })
}

/// The place of a call, if there is a bound on them; also for what is none, and opens a link as calls
/// do.
pub(super) async fn place(
    connection: &Connection,
    deadline: Option<Instant>,
) -> Result<Option<SemaphorePermit<'_>>, CallError> {
    let Some(places) = &connection.guard.places else { return Ok(None) };
    let taken = match places.try_acquire() {
        Ok(place) => return Ok(Some(place)),
        Err(_) => until(deadline, places.acquire()).await,
    };
    taken.and_then(Result::ok).map(Some).ok_or_else(|| CallError::Overloaded {
        server: connection.name().to_string(),
        limit: "calls at once, and the wait for a place took too long".to_owned(),
        setting: "max_concurrent",
        delivery: Delivery::NotSent,
    })
}

/// Waits for the turn of a call, where calls are spread; once the link is there that it goes over, or
/// all the turns that come while there is none would be taken at once.
pub(super) async fn turn(
    connection: &Connection,
    deadline: Option<Instant>,
) -> Result<(), CallError> {
    let Some(account) = &connection.guard.account else { return Ok(()) };
    let patience = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    let now = connection.guard.born.elapsed();
    let booked = account.lock().book(now, patience);
    let at = booked.map_err(|retry_after| CallError::RateLimited {
        server: connection.name().to_string(),
        retry_after,
    })?;
    if at > now {
        let turn = Turn { account, at, came: false };
        tokio::time::sleep(at - now).await;
        turn.came();
    }
    Ok(())
}

/// A booked turn, which is given back if nobody waits for it any more.
struct Turn<'a> {
    account: &'a Mutex<Account>,
    at: Duration,
    came: bool,
}

impl Turn<'_> {
    fn came(mut self) {
        self.came = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.came {
            self.account.lock().give_back(self.at);
        }
    }
}

/// A call that was let in; it has its place until this is dropped.
#[derive(Debug)]
pub(super) struct Entered<'a> {
    pass: Option<Pass<'a>>,
    _place: Option<SemaphorePermit<'a>>,
}

impl Entered<'_> {
    /// Tells the breaker how it ended.
    pub(super) fn settle(mut self, outcome: &Result<Output, CallError>) {
        if let Some(pass) = self.pass.take() {
            let opening = pass.connection.spec.opening;
            pass.settle(verdict(outcome, opening));
        }
    }
}

/// What a call went through the breaker with; dropped, it says nothing about the server.
#[derive(Debug)]
struct Pass<'a> {
    connection: &'a Connection,
    breaker: &'a Mutex<Breaker>,
    admission: Admission,
    verdict: Verdict,
}

impl<'a> Pass<'a> {
    fn take(connection: &'a Connection, breaker: &'a Mutex<Breaker>) -> Result<Self, CallError> {
        let admitted = breaker.lock().admit(connection.guard.born.elapsed());
        match admitted {
            Ok(admission) => {
                if admission == Admission::Probe {
                    actor::breaker_moved(connection);
                }
                Ok(Self { connection, breaker, admission, verdict: Verdict::Nothing })
            }
            Err(retry_after) => Err(CallError::CircuitOpen {
                server: connection.name().to_string(),
                retry_after,
                next_try: time_of_day_after(retry_after),
            }),
        }
    }

    fn settle(mut self, verdict: Verdict) {
        self.verdict = verdict;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let now = self.connection.guard.born.elapsed();
        let mut breaker = self.breaker.lock();
        let before = breaker.phase();
        breaker.settle(self.admission, self.verdict, now);
        let after = breaker.phase();
        drop(breaker);
        let counts = |phase| matches!(phase, BreakerPhase::Closed { .. });
        if before != after && !(counts(before) && counts(after)) {
            actor::breaker_moved(self.connection);
        }
    }
}

/// What a call's end says about its server. A tool's own failure is an answer like any other.
fn verdict(outcome: &Result<Output, CallError>, opening: Opening) -> Verdict {
    match outcome {
        Ok(_) => Verdict::Works,
        Err(CallError::TransportDown { reason, .. }) if reason.was_asked_for() => Verdict::Nothing,
        Err(CallError::TransportDown { .. }) => Verdict::Fails,
        // It had answered: what took its time after that may be our own person.
        Err(CallError::TimedOut { delivery: Delivery::Answered, .. }) => Verdict::Nothing,
        // One that did not leave says that the server does not read, or that we were slow.
        Err(CallError::TimedOut { .. }) => Verdict::Fails,
        Err(CallError::HttpStatus { status: 500.., .. }) => Verdict::Fails,
        Err(CallError::HttpStatus { .. }) => Verdict::Works,
        // Where each call starts the server, a start that fails is the call's own failure.
        Err(CallError::NotReady { .. }) if opening == Opening::PerCall => Verdict::Fails,
        Err(error) if error.delivery() == Delivery::Answered => Verdict::Works,
        Err(_) => Verdict::Nothing,
    }
}

/// What a clock shows after this time; one that none can show is as good as never.
fn time_of_day_after(time: Duration) -> SystemTime {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    let now = SystemTime::now();
    now.checked_add(time).unwrap_or_else(|| now + NEVER)
}

/// What comes of it before the deadline.
pub(super) async fn until<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = T>,
) -> Option<T> {
    match deadline {
        Some(at) => tokio::time::timeout_at(at, work).await.ok(),
        None => Some(work.await),
    }
}

/// How much of its time a call has left; `None` is no end.
pub(super) fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|at| at.saturating_duration_since(Instant::now()))
}
