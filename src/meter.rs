//! Where counts and times go beside the books: to the recorder of the `metrics` crate, where the
//! feature of that name is on, and nowhere otherwise.
//!
//! Handles are registered once for each server and tool, and not with each call, so a recorder has to
//! be installed before sessions are opened. Without one they do nothing.

#[cfg(not(feature = "metrics"))]
mod off;
#[cfg(feature = "metrics")]
mod on;

#[cfg(not(feature = "metrics"))]
pub(crate) use off::{ServerMeter, ToolMeter, describe, leaked};
#[cfg(feature = "metrics")]
pub(crate) use on::{ServerMeter, ToolMeter, describe, leaked};
