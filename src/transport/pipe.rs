//! Our ends of a child's pipes, which tokio can wait for.
//!
//! Both systems offer the same: [`Sender`] and [`Receiver`] with tokio's calls for readiness, made
//! by [`to_child`] and [`from_child`] together with the ends that the child gets.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{
    READS_ALL, Receiver, Sender, from_child, held, is_drained, more, to_child, widen_receiver,
    widen_sender,
};
#[cfg(windows)]
pub(crate) use windows::{
    READS_ALL, Receiver, Sender, from_child, held, is_drained, more, to_child, widen_receiver,
    widen_sender,
};
