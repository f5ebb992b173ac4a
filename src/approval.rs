//! A hook of the host that is asked before a call is sent.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{
    arguments::Arguments,
    catalog::{Annotations, Tool},
};

/// What an [approval hook](crate::SessionBuilder::approval) is asked about.
#[derive(Debug, Clone)]
pub struct ApprovalRequest {
    pub(crate) tool: Tool,
    pub(crate) arguments: Arguments,
}

impl ApprovalRequest {
    /// The tool that is to be called.
    #[must_use]
    pub fn tool(&self) -> &Tool {
        &self.tool
    }

    /// What its server says about what the tool does.
    #[must_use]
    pub fn annotations(&self) -> Annotations {
        self.tool.annotations()
    }

    /// What the tool is to be called with.
    #[must_use]
    pub fn arguments(&self) -> &Arguments {
        &self.arguments
    }
}

/// What an [approval hook](crate::SessionBuilder::approval) says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The call may be made.
    Allow,
    /// It may not, for this reason; it ends as [`Denied`](crate::CallError::Denied).
    Deny(String),
}

type Deciding = Pin<Box<dyn Future<Output = Decision> + Send>>;

/// The hook, whatever its type.
#[derive(Clone)]
pub(crate) struct Approval(Arc<dyn Fn(ApprovalRequest) -> Deciding + Send + Sync>);

impl Approval {
    pub(crate) fn new<H, F>(hook: H) -> Self
    where
        H: Fn(ApprovalRequest) -> F + Send + Sync + 'static,
        F: Future<Output = Decision> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(hook(request))))
    }

    pub(crate) fn decide(&self, request: ApprovalRequest) -> Deciding {
        (self.0)(request)
    }
}

impl fmt::Debug for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Approval")
    }
}
