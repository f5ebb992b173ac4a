//! A queue from one task to another that never waits for its reader: when it is full the oldest item
//! goes, and is counted.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

/// The reader's end.
#[derive(Debug)]
pub(crate) struct Queue<T>(Arc<Mutex<State<T>>>);

/// The writer's end, which does not keep the queue. Clones write to the same one; the last to go
/// ends it.
#[derive(Debug)]
pub(crate) struct Writer<T> {
    queue: Weak<Mutex<State<T>>>,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    limit: usize,
    missed: u64,
    writers: usize,
    reader: Option<Waker>,
}

/// What is next in a queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    Item(T),
    /// So many items are gone that stood before the next one.
    Missed(u64),
}

/// A queue of at most this many items.
pub(crate) fn queue<T>(limit: usize) -> (Writer<T>, Queue<T>) {
    let state = State { items: VecDeque::new(), limit, missed: 0, writers: 1, reader: None };
    let queue = Arc::new(Mutex::new(state));
    (Writer { queue: Arc::downgrade(&queue) }, Queue(queue))
}

impl<T> Writer<T> {
    /// Appends an item; false once nobody reads any more.
    pub(crate) fn send(&self, item: T) -> bool {
        let Some(queue) = self.queue.upgrade() else { return false };
        let mut state = queue.lock();
        let oldest = if state.items.len() >= state.limit { state.items.pop_front() } else { None };
        state.missed += u64::from(oldest.is_some());
        state.items.push_back(item);
        let reader = state.reader.take();
        drop(state);
        // Foreign code, both: without the lock.
        drop(oldest);
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_deaf(&self) -> bool {
        self.queue.strong_count() == 0
    }
}

impl<T> Clone for Writer<T> {
    fn clone(&self) -> Self {
        if let Some(queue) = self.queue.upgrade() {
            queue.lock().writers += 1;
        }
        Self { queue: self.queue.clone() }
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        let Some(queue) = self.queue.upgrade() else { return };
        let mut state = queue.lock();
        state.writers -= 1;
        let reader = if state.writers == 0 { state.reader.take() } else { None };
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl<T> Queue<T> {
    /// The next item, or how many were lost before it; none once the queue has ended.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next<T>>> {
        let mut state = self.0.lock();
        if state.missed > 0 {
            return Poll::Ready(Some(Next::Missed(std::mem::take(&mut state.missed))));
        }
        if let Some(item) = state.items.pop_front() {
            return Poll::Ready(Some(Next::Item(item)));
        }
        if state.writers == 0 {
            return Poll::Ready(None);
        }
        let earlier = state.reader.replace(cx.waker().clone());
        drop(state);
        drop(earlier);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next<T>(queue: &mut Queue<T>) -> Poll<Option<Next<T>>> {
        queue.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_oldest_go_and_are_counted() {
        let (writer, mut queue) = queue(2);
        for item in 0..5 {
            assert!(writer.send(item));
        }
        assert_eq!(next(&mut queue), Poll::Ready(Some(Next::Missed(3))));
        assert_eq!(next(&mut queue), Poll::Ready(Some(Next::Item(3))));
        assert_eq!(next(&mut queue), Poll::Ready(Some(Next::Item(4))));
        assert_eq!(next(&mut queue), Poll::Pending);
    }

    #[test]
    fn what_is_left_comes_before_the_end() {
        let (writer, mut queue) = queue(2);
        let other = writer.clone();
        other.send('a');
        drop((writer, other));
        assert_eq!(next(&mut queue), Poll::Ready(Some(Next::Item('a'))));
        assert_eq!(next(&mut queue), Poll::Ready(None));
    }

    #[test]
    fn a_writer_learns_that_nobody_reads() {
        let (writer, queue) = queue(2);
        drop(queue);
        assert!(writer.is_deaf() && !writer.send(1));
    }
}
