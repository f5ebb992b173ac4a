//! A link over the pipes of a child process.

use std::sync::Arc;

use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::DropGuard;

use super::{Carrier, Epoch, Running};
use crate::{
    budget::{Room, Watched, Watching},
    census::ProcessRecord,
    connection::{
        handshake::{self, Agreement, Era, HandshakeError, Plan},
        inbound::Inbound,
        link::{DownOnDrop, Link, Way},
    },
    error::{ConnectError, SecretCause, SecretError},
    record::EntryKind,
    secret::Secret,
    spec::{ArgValue, EnvValue, Stdio},
    transport::{
        environment::{self, Resolved},
        process::{Leader, Process},
        stderr::{self, StderrTail},
        stdio,
    },
};

/// A running process with its pipes.
#[derive(Clone)]
pub(super) struct Child {
    pub(super) process: Process,
    pub(super) stderr: Arc<StderrTail>,
    /// Shared by all clones, so that it can be closed for all of them.
    stdin: Arc<Mutex<Option<Arc<stdio::Stdin>>>>,
    /// Has the process stopped when the last clone is gone, whatever became of its owner.
    _stop: Arc<DropGuard>,
    /// Where its memory is limited.
    _watching: Option<Arc<Watching>>,
}

impl Child {
    /// Whether the process has read everything that was written to it.
    fn has_read_all(&self) -> bool {
        self.stdin.lock().as_ref().is_some_and(|stdin| stdin.is_drained())
    }

    /// Stops the process, and waits until its group is gone.
    pub(super) async fn end(self) {
        let Self { process, stdin, .. } = self;
        // At the end of its stdin it may be gone in no time, and nobody knows its children then.
        process.hold_strangers();
        *stdin.lock() = None;
        process.stop();
        process.gone().await;
    }
}

impl Epoch {
    /// Starts a process and shakes hands; with a fresh one and `initialize` if the first read the
    /// probe and ended.
    pub(super) async fn open_child(
        &self,
        spec: &Stdio,
        slot: &mut Option<Running>,
        deadline: Instant,
    ) -> Result<(Agreement, Running), ConnectError> {
        let (patience, us) = (self.patience(), &self.connection.introduction);
        let (running, child) = self.start_child(spec, deadline).await?;
        let running = slot.insert(running).clone();
        match handshake::shake(&running.link, us, Plan::FindOut(self.era), patience).await {
            Ok(agreement) => return Ok((agreement, running)),
            // It ended before it read the probe, so the probe did not end it.
            Err(HandshakeError::EndedAtProbe(error)) if !child.has_read_all() => return Err(error),
            Err(HandshakeError::EndedAtProbe(_)) => self.tear_down(running).await,
            Err(HandshakeError::Failed(error)) => return Err(error),
        }
        let running = slot.insert(self.start_child(spec, deadline).await?.0).clone();
        match handshake::shake(&running.link, us, Plan::Only(Era::Legacy), patience).await {
            Ok(agreement) => Ok((agreement, running)),
            Err(HandshakeError::EndedAtProbe(error) | HandshakeError::Failed(error)) => Err(error),
        }
    }

    /// Starts the process, and the tasks of its link.
    async fn start_child(
        &self,
        spec: &Stdio,
        deadline: Instant,
    ) -> Result<(Running, Child), ConnectError> {
        let scope = &self.connection.scope;
        let secrets = self.resolve_secrets(spec).await?;
        let room = scope.budgets.start(deadline).await?;
        let started = stdio::start(spec, &secrets, &scope.census)?;
        let stdio::Started { leader, stdin, stdout, stderr } = started;
        let process = self.adopt(leader, room, spec)?;
        let link = self.link(Way::Stream(stdin.clone()));
        let tail = Arc::new(StderrTail::new(scope.secrets.redactor.clone()));
        self.connection.set_stderr(Arc::clone(&tail));
        let child = Child {
            process: process.clone(),
            stderr: Arc::clone(&tail),
            stdin: Arc::new(Mutex::new(Some(Arc::clone(&stdin)))),
            _stop: Arc::new(process.stop_guard()),
            _watching: self.watch_memory(&process, &link).map(Arc::new),
        };
        let running = Running {
            link: Arc::clone(&link),
            tools_changed: Arc::new(Notify::new()),
            carrier: Carrier::Child(child.clone()),
        };
        self.spawn(Arc::clone(&link).write(stdin));
        self.spawn(Arc::clone(&link).clock());
        let ends = (process.exited.clone(), process.gone_token());
        let note = move |lines: &[u8]| link.note(EntryKind::Stderr, lines);
        self.spawn(stderr::drain(stderr, tail, ends, note));
        self.spawn(self.read(stdout, &running, &child));
        Ok((running, child))
    }

    /// The secrets that the child is told by its environment and its arguments.
    async fn resolve_secrets(&self, spec: &Stdio) -> Result<Resolved, ConnectError> {
        let mut resolved = Resolved::default();
        for (variable, value) in &spec.env {
            let EnvValue::Secret(secret) = value else { continue };
            resolved.variables.insert(variable.clone(), self.resolve(secret).await?);
        }
        for argument in &spec.args {
            let ArgValue::Secret(secret) = argument else { continue };
            resolved.arguments.push(self.resolve(secret).await?);
        }
        Ok(resolved)
    }

    async fn resolve(&self, secret: &Secret) -> Result<SecretString, ConnectError> {
        let value = self.connection.scope.resolve(secret, Some(self.connection.name())).await?;
        if !environment::fits(&value) {
            let (reference, cause) = (secret.reference(), SecretCause::Unfit);
            return Err(SecretError { reference, cause }.into());
        }
        Ok(value)
    }

    fn watch_memory(&self, process: &Process, link: &Arc<Link>) -> Option<Watching> {
        let (scope, limits) = (&self.connection.scope, &self.connection.spec.limits);
        let watched = Watched {
            link: Arc::downgrade(link),
            limit: limits.max_memory,
            session: Arc::clone(scope.budgets.session()),
        };
        scope.memory.watch(process.pid, watched)
    }

    fn adopt(&self, leader: Leader, room: Room, spec: &Stdio) -> Result<Process, ConnectError> {
        let scope = &self.connection.scope;
        let (session, server) = (Arc::clone(&scope.id), Arc::clone(self.connection.name()));
        let record = ProcessRecord { session, server };
        let (process, reaper) = stdio::adopt(leader, spec, &scope.census, record)?;
        self.spawn(async move {
            reaper.await;
            // Until then it counts.
            drop(room);
        });
        Ok(process)
    }

    /// The task that reads, and takes the link down when there is nothing more to read.
    fn read(
        &self,
        stdout: stdio::Stream,
        running: &Running,
        child: &Child,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (link, tools_changed) = (Arc::clone(&running.link), Arc::clone(&running.tools_changed));
        let (process, stderr) = (child.process.clone(), Arc::clone(&child.stderr));
        let mut inbound =
            Inbound::new(Arc::clone(&self.connection), Arc::clone(&link), tools_changed);
        let max_frame = self.connection.spec.limits.max_frame;
        async move {
            // Nobody waits for a link that is no longer read, whatever became of this task.
            let _guard = DownOnDrop(&link);
            let child = stdio::Child { process: &process, stderr: &stderr };
            let write_failed = link.write_failed();
            let reason = stdio::read(stdout, max_frame, &child, &mut inbound, write_failed).await;
            link.go_down(reason);
        }
    }
}
