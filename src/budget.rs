//! The budgets of a runtime and of a session, and who waits for room in them.

mod memory;

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
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
    /// From here on the time of starts is counted: in a session as in its runtime.
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
        Self::since(Instant::now(), of, budget)
    }

    fn since(born: Instant, of: LimitOf, budget: Budget) -> Arc<Self> {
        let semaphore = |room: Option<usize>| {
            room.map(|n| Arc::new(Semaphore::new(n.min(Semaphore::MAX_PERMITS))))
        };
        Arc::new(Self {
            of,
            budget,
            born,
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

    fn starts(&self) -> Option<MutexGuard<'_, Starts>> {
        self.starts.as_ref().map(Mutex::lock)
    }
}

/// A turn to start a process, booked in both budgets for the same time; given back if nobody waits
/// for it any more.
struct Turn<'a> {
    budgets: &'a Budgets,
    at: Duration,
    came: bool,
}

impl Turn<'_> {
    async fn come(mut self) {
        let wait = self.at.saturating_sub(self.budgets.now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.came = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.came {
            let starts = self.budgets.0.iter().filter_map(|pool| pool.starts());
            starts.for_each(|mut starts| starts.give_back(self.at));
        }
    }
}

impl Budgets {
    pub(crate) fn new(session: Budget, runtime: &Arc<Pool>) -> Self {
        Self([Pool::since(runtime.born, LimitOf::Session, session), Arc::clone(runtime)])
    }

    fn now(&self) -> Duration {
        self.session().born.elapsed()
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
        if let Some(turn) = self.turn(deadline)? {
            turn.come().await;
        }
        Ok(Room { _permits: permits })
    }

    /// Books the next turn to start a process, if starts are counted.
    fn turn(&self, deadline: Instant) -> Result<Option<Turn<'_>>, OverBudget> {
        let now = self.now();
        let patience = deadline.saturating_duration_since(Instant::now());
        // Both at once, and in this order everywhere.
        let mut books: Vec<_> =
            self.0.iter().filter_map(|pool| Some((pool, pool.starts()?))).collect();
        if books.is_empty() {
            return Ok(None);
        }
        let (mut at, mut asked) = (None, now);
        while at != Some(asked) {
            at = Some(asked);
            for (pool, starts) in &books {
                let next = starts.next(asked).filter(|next| *next - now <= patience);
                asked = next.ok_or_else(|| pool.over(BudgetItem::StartsPerMinute))?;
            }
        }
        books.iter_mut().for_each(|(_, starts)| starts.book(asked, now));
        drop(books);
        Ok(Some(Turn { budgets: self, at: asked, came: false }))
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

    fn pool(of: LimitOf) -> Arc<Pool> {
        Pool::new(of, Budget::unlimited().starts_per_minute(1))
    }

    /// A session, and a runtime with one start a minute.
    fn budgets(runtime: &Arc<Pool>) -> Budgets {
        Budgets::new(Budget::unlimited().starts_per_minute(1), runtime)
    }

    fn has_turn(pool: &Pool) -> bool {
        let now = pool.born.elapsed();
        pool.starts().unwrap().next(now) == Some(now)
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_takes_a_turn_of_both() {
        let budgets = budgets(&pool(LimitOf::Runtime));
        drop(budgets.start(Instant::now()).await.unwrap());
        for pool in &budgets.0 {
            assert!(!has_turn(pool), "{:?}", pool.of);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_start_by_the_runtime_takes_no_turn_of_the_session() {
        let runtime = pool(LimitOf::Runtime);
        let budgets = budgets(&runtime);
        let now = runtime.born.elapsed();
        runtime.starts().unwrap().book(now, now);
        assert_eq!(budgets.start(Instant::now()).await.unwrap_err().of, LimitOf::Runtime);
        assert!(has_turn(budgets.session()), "it was refused");
        let waiting = budgets.start(Instant::now() + MINUTE);
        tokio::time::timeout(MINUTE / 2, waiting).await.unwrap_err();
        assert!(has_turn(budgets.session()), "nobody waits any more");
        drop(budgets.start(Instant::now() + MINUTE).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_waited_for_the_runtime_counts_from_then_on_for_its_session() {
        let runtime = pool(LimitOf::Runtime);
        let (busy, late) = (budgets(&runtime), budgets(&runtime));
        drop(busy.start(Instant::now()).await.unwrap());
        let deadline = Instant::now() + 10 * MINUTE;
        drop(late.start(deadline).await.unwrap());
        let begun = Instant::now();
        drop(late.start(deadline).await.unwrap());
        assert!(begun.elapsed() >= MINUTE, "{:?}", begun.elapsed());
        let next = late.session().starts().unwrap().next(late.now());
        assert!(next >= Some(late.now() + MINUTE), "counted when it began");
    }
}
