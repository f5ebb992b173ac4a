//! What a link owes to the task that reads it.

use super::Link;
use crate::error::{DownCause, DownReason};

/// Takes a link down with the task that reads it, where that did not give a better reason.
pub(crate) struct DownOnDrop<'a>(pub(crate) &'a Link);

impl Drop for DownOnDrop<'_> {
    fn drop(&mut self) {
        self.0.go_down(DownReason::new(DownCause::Internal));
    }
}
