//! The budgets of a runtime and of a session, and who waits for room in them.

mod memory;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

pub(crate) use memory::{MemoryWatch, Watched, Watching};

use crate::{
    error::{BudgetItem, LimitOf, OverBudget},
    policy::{Budget, Starts},
};

/// What is left of one budget.
#[derive(Debug)]
pub(crate) struct Pool {
    of: LimitOf,
    budget: Budget,
    born: Instant,
    processes: Option<Arc<Semaphore>>,
    starts: Option<Mutex<Starts>>,
    calls: Option<Arc<Semaphore>>,
    bytes: Option<Arc<Semaphore>>,
}

/// The budgets that the servers of a session are held to: its own, then the runtime's.
#[derive(Debug, Clone)]
pub(crate) struct Budgets([Arc<Pool>; 2]);

/// Room that was taken; it is given back when this is dropped.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Room {
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Pool {
    pub(crate) fn new(of: LimitOf, budget: Budget) -> Arc<Self> {
        let semaphore = |room: Option<usize>| {
            room.map(|n| Arc::new(Semaphore::new(n.min(Semaphore::MAX_PERMITS))))
        };
        Arc::new(Self {
            of,
            budget,
            born: Instant::now(),
            processes: semaphore(budget.processes),
            starts: budget.starts_per_minute.map(|starts| Mutex::new(Starts::new(starts))),
            calls: semaphore(budget.calls),
            bytes: semaphore(budget.bytes),
        })
    }

    pub(crate) fn memory(&self) -> Option<u64> {
        self.budget.memory
    }

    fn over(&self, item: BudgetItem) -> OverBudget {
        let limit = match item {
            BudgetItem::Processes => self.budget.processes,
            BudgetItem::StartsPerMinute => self.budget.starts_per_minute.map(|n| n as usize),
            BudgetItem::Calls => self.budget.calls,
            BudgetItem::Bytes => self.budget.bytes,
        };
        OverBudget { of: self.of, item, limit: limit.unwrap_or_default() as u64 }
    }

    /// Waits for so much room, for as long as there is time.
    async fn take(
        &self,
        item: BudgetItem,
        much: usize,
        deadline: Option<Instant>,
    ) -> Result<Option<OwnedSemaphorePermit>, OverBudget> {
        let (semaphore, all) = match item {
            BudgetItem::Processes => (&self.processes, self.budget.processes),
            BudgetItem::Calls => (&self.calls, self.budget.calls),
            BudgetItem::Bytes => (&self.bytes, self.budget.bytes),
            BudgetItem::StartsPerMinute => return Ok(None),
        };
        let Some(semaphore) = semaphore else { return Ok(None) };
        // What never fits need not wait.
        let permits = u32::try_from(much).ok().filter(|_| all.is_none_or(|all| much <= all));
        let permits = permits.ok_or_else(|| self.over(item))?;
        let waiting = Arc::clone(semaphore).acquire_many_owned(permits);
        let taken = match deadline {
            Some(at) => tokio::time::timeout_at(at, waiting).await.ok(),
            None => Some(waiting.await),
        };
        // It is never closed.
        taken.and_then(Result::ok).map(Some).ok_or_else(|| self.over(item))
    }

    /// Waits for its turn to start a process.
    async fn turn(&self, deadline: Instant) -> Result<Option<Turn<'_>>, OverBudget> {
        let Some(starts) = &self.starts else { return Ok(None) };
        let patience = deadline.saturating_duration_since(Instant::now());
        let now = self.born.elapsed();
        let booked = starts.lock().book(now, patience);
        let wait = booked.map_err(|_| self.over(BudgetItem::StartsPerMinute))?;
        let turn = Turn { starts, at: now + wait, taken: false };
        if wait > Duration::ZERO {
            tokio::time::sleep(wait).await;
        }
        Ok(Some(turn))
    }
}

/// A booked turn, which is given back unless it is taken: by one who waits no more, or has no turn
/// elsewhere.
struct Turn<'a> {
    starts: &'a Mutex<Starts>,
    at: Duration,
    taken: bool,
}

impl Turn<'_> {
    fn take(mut self) {
        self.taken = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.taken {
            self.starts.lock().give_back(self.at);
        }
    }
}

impl Budgets {
    pub(crate) fn new(session: Budget, runtime: &Arc<Pool>) -> Self {
        Self([Pool::new(LimitOf::Session, session), Arc::clone(runtime)])
    }

    /// What is the session's own.
    pub(crate) fn session(&self) -> &Arc<Pool> {
        &self.0[0]
    }

    /// Whether calls have to ask.
    pub(crate) fn count_calls(&self) -> bool {
        self.0.iter().any(|pool| pool.budget.counts_calls())
    }

    /// Waits until a process may be started, and takes its room.
    pub(crate) async fn start(&self, deadline: Instant) -> Result<Room, OverBudget> {
        let mut permits = Vec::new();
        for pool in &self.0 {
            permits.extend(pool.take(BudgetItem::Processes, 1, Some(deadline)).await?);
        }
        let mut turns = Vec::new();
        for pool in &self.0 {
            turns.extend(pool.turn(deadline).await?);
        }
        turns.into_iter().for_each(Turn::take);
        Ok(Room { _permits: permits })
    }

    /// Waits until a call of so many bytes may be sent, and takes its room.
    pub(crate) async fn call(
        &self,
        bytes: usize,
        deadline: Option<Instant>,
    ) -> Result<Room, OverBudget> {
        if !self.count_calls() {
            return Ok(Room::default());
        }
        let mut permits = Vec::new();
        for pool in &self.0 {
            permits.extend(pool.take(BudgetItem::Calls, 1, deadline).await?);
            permits.extend(pool.take(BudgetItem::Bytes, bytes, deadline).await?);
        }
        Ok(Room { _permits: permits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// One start a minute, in both.
    fn budgets() -> Budgets {
        let budget = Budget::unlimited().starts_per_minute(1);
        Budgets::new(budget, &Pool::new(LimitOf::Runtime, budget))
    }

    async fn has_turn(pool: &Pool) -> bool {
        // Not taken, it is given back.
        pool.turn(Instant::now()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_takes_a_turn_of_both() {
        let budgets = budgets();
        drop(budgets.start(Instant::now()).await.unwrap());
        for pool in &budgets.0 {
            assert!(!has_turn(pool).await, "{:?}", pool.of);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_start_by_the_runtime_takes_no_turn_of_the_session() {
        let budgets = budgets();
        let [session, runtime] = &budgets.0;
        runtime.turn(Instant::now()).await.unwrap().unwrap().take();
        assert_eq!(budgets.start(Instant::now()).await.unwrap_err().of, LimitOf::Runtime);
        assert!(has_turn(session).await, "it was refused");
        let waiting = budgets.start(Instant::now() + MINUTE);
        tokio::time::timeout(MINUTE / 2, waiting).await.unwrap_err();
        assert!(has_turn(session).await, "nobody waits any more");
        drop(budgets.start(Instant::now() + MINUTE).await.unwrap());
    }
}
