//! A call on its way through the layers.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Extensions;
use crate::{
    arguments::Arguments, catalog::Tool, error::Delivery, policy::CallOptions,
    progress::ProgressReport, queue::Writer,
};

/// A call on its way through the layers.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) tool: Tool,
    pub(crate) arguments: Arguments,
    pub(crate) extensions: Extensions,
    pub(crate) ticket: Ticket,
}

impl Request {
    pub(crate) fn new(tool: Tool, arguments: Arguments, ticket: Ticket) -> Self {
        Self { tool, arguments, extensions: Extensions::default(), ticket }
    }

    /// The tool that is called.
    #[must_use]
    pub fn tool(&self) -> &Tool {
        &self.tool
    }

    /// What it is called with.
    #[must_use]
    pub fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    /// Calls it with something else.
    pub fn set_arguments(&mut self, arguments: impl Into<Arguments>) {
        self.arguments = arguments.into();
    }

    /// What holds for the call: all options as one.
    #[must_use]
    pub fn options(&self) -> &CallOptions {
        self.tool.options()
    }

    /// Changes what holds for the call; what is left out stays as it is.
    pub fn set_options(&mut self, options: &CallOptions) {
        self.tool = self.tool.with_options(options);
    }

    /// What the layers hand to each other.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// What the layers hand to each other, to be changed.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }
}

/// What goes with a call through all layers, whatever they do to it.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    /// When it was first polled.
    pub(crate) began: Instant,
    pub(crate) cancel: Option<CancellationToken>,
    /// Who listens to its progress.
    pub(crate) progress: Option<Writer<ProgressReport>>,
    /// Whether a task is handed to the host instead of being followed.
    pub(crate) detached: bool,
    /// What is known about its delivery, for those who end it without knowing better.
    mark: Arc<AtomicU8>,
}

const NOT_SENT: u8 = 0;
const MAYBE_SENT: u8 = 1;
const ANSWERED: u8 = 2;

impl Ticket {
    pub(crate) fn new(cancel: Option<CancellationToken>) -> Self {
        let (began, mark) = (Instant::now(), Arc::new(AtomicU8::new(NOT_SENT)));
        Self { began, cancel, progress: None, detached: false, mark }
    }

    /// What is known about the delivery of all attempts together.
    pub(crate) fn delivery(&self) -> Delivery {
        match self.mark.load(Ordering::Relaxed) {
            NOT_SENT => Delivery::NotSent,
            ANSWERED => Delivery::Answered,
            _ => Delivery::MaybeSent,
        }
    }

    /// An attempt is about to be sent.
    pub(crate) fn sending(&self) {
        self.mark.store(MAYBE_SENT, Ordering::Relaxed);
    }

    /// It turned out as this, after `before` held.
    pub(crate) fn sent(&self, delivery: Delivery, before: Delivery) {
        let mark = match (delivery, before) {
            (Delivery::Answered, _) => ANSWERED,
            (Delivery::NotSent, Delivery::NotSent) => NOT_SENT,
            _ => MAYBE_SENT,
        };
        self.mark.store(mark, Ordering::Relaxed);
    }
}
