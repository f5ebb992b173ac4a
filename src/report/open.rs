//! Reports of sessions that were not opened.

use super::{Report, connect};
use crate::error::{OpenError, RequiredFailure, SecretError, SpecError};

impl OpenError {
    /// What is known of it, for a person: the faults and failures that it is made up of are
    /// [`related`](Report::related).
    #[must_use]
    pub fn report(&self) -> Report {
        match self {
            Self::Spec(faults) => Report {
                related: faults.iter().map(SpecError::report).collect(),
                ..Report::new("spec", "the declaration is faulty; nothing was started")
            },
            Self::Secret(error) => error.report(),
            Self::Required(failures) => Report {
                related: failures.iter().map(RequiredFailure::report).collect(),
                ..Report::new("required", "required servers are not ready; the session was closed")
            },
            Self::RuntimeClosed => Report {
                help: Some("start another to open sessions".to_owned()),
                ..Report::new("runtime_closed", "the runtime is shut down")
            },
        }
    }
}

impl SpecError {
    /// It for a person.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::new("spec", self.to_string())
    }
}

impl SecretError {
    /// What is known of it, for a person.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::new("secret", self.to_string()).diagnosed(connect::secret(self))
    }
}

impl RequiredFailure {
    /// What is known of it, for a person.
    #[must_use]
    pub fn report(&self) -> Report {
        let report = match &self.error {
            Some(error) => error.report(),
            None => Report::new("not_ready", "not ready within its init timeout"),
        };
        Report { server: Some(self.server.clone()), ..report }
    }
}
