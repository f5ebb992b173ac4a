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
    async fn turn(&self, deadline: Instant) -> Result<(), OverBudget> {
        let Some(starts) = &self.starts else { return Ok(()) };
        let patience = deadline.saturating_duration_since(Instant::now());
        let booked = starts.lock().book(self.born.elapsed(), patience);
        let wait = booked.map_err(|_| self.over(BudgetItem::StartsPerMinute))?;
        if wait > Duration::ZERO {
            let turn = Turn(Some(starts));
            tokio::time::sleep(wait).await;
            turn.came();
        }
        Ok(())
    }
}

/// A booked turn, which is given back if nobody waits for it any more.
struct Turn<'a>(Option<&'a Mutex<Starts>>);

impl Turn<'_> {
    fn came(mut self) {
        self.0 = None;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(starts) = self.0 {
            starts.lock().give_back();
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
        for pool in &self.0 {
            pool.turn(deadline).await?;
        }
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
