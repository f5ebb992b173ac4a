//! What the handshake of a link has found out.

use std::sync::Arc;

use super::Link;
use crate::{
    connection::{
        handshake::{Agreement, Capabilities, Era},
        introduction::Introduction,
    },
    record::EntryKind,
    wire::Meta,
};

impl Link {
    /// The `_meta` of a request on this link.
    pub(crate) fn meta(&self, progress: bool) -> Meta<'_> {
        let members = match self.agreed.get() {
            Some((Agreement { era: Era::Modern, .. }, introduction)) => introduction.meta(),
            Some(_) | None => "",
        };
        Meta { members, progress, added: "", trace: "" }
    }

    /// The era of the server, once the handshake has found it out.
    pub(crate) fn era(&self) -> Option<Era> {
        self.agreed.get().map(|(agreement, _)| agreement.era)
    }

    /// The revision that is spoken, once the handshake has found it out.
    pub(crate) fn version(&self) -> Option<&str> {
        self.agreed.get().map(|(agreement, _)| agreement.version.as_str())
    }

    /// What the server offers, once the handshake has found it out.
    pub(crate) fn capabilities(&self) -> Option<&Capabilities> {
        self.agreed.get().map(|(agreement, _)| &agreement.capabilities)
    }

    /// What the server says on how it is to be used.
    pub(crate) fn instructions(&self) -> Option<&str> {
        self.agreed.get().and_then(|(agreement, _)| agreement.instructions.as_deref())
    }

    /// Sets what every request carries from now on; only the handshake does, once.
    pub(crate) fn agree(&self, agreement: &Agreement, introduction: &Arc<Introduction>) {
        self.agreed.get_or_init(|| (agreement.clone(), Arc::clone(introduction)));
        self.note(EntryKind::Status, format!("speaks {}", agreement.version).as_bytes());
    }
}
