//! The actor of one session: starts its connections, and starts another where one died of a defect.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use crate::{
    census::Counted,
    connection::{
        Connection, SessionScope,
        actor::{
            Arguments as ConnectionArguments, ConnectionActor, Message as ConnectionMessage, bury,
            give_up, succeed,
        },
    },
    policy::{Intensity, RestartPolicy},
    spec::Opening,
    telemetry,
};

pub(crate) struct SessionActor;

pub(crate) struct Arguments {
    pub(crate) scope: Arc<SessionScope>,
    pub(crate) connections: Vec<Arc<Connection>>,
}

pub(crate) struct ActorState {
    scope: Arc<SessionScope>,
    /// Those that are to be started with the session.
    first: Vec<Arc<Connection>>,
    children: BTreeMap<ActorId, Child>,
    closing: bool,
    /// Actors that died of a defect, within the time that `budget` says.
    crashes: Intensity,
    budget: RestartPolicy,
    born: Instant,
    /// Ends all tasks of the session, also when this actor dies without a word.
    _end: DropGuard,
    counted: Option<Counted>,
}

struct Child {
    actor: ActorRef<ConnectionMessage>,
    connection: Arc<Connection>,
    /// What is to be started once nothing of it is left.
    successor: Option<Arc<Connection>>,
}

/// What changes in a session that goes on.
#[derive(Debug)]
pub(crate) struct Shift {
    /// What leaves, and what takes its place.
    pub(crate) leaving: Vec<(Arc<Connection>, Option<Arc<Connection>>)>,
    pub(crate) coming: Vec<Arc<Connection>>,
}

#[derive(Debug)]
pub(crate) enum Message {
    Close,
    Shift(Shift),
    #[cfg(test)]
    PanicIn(Option<usize>),
}

/// The way to a session's actor, for those who must not know what an actor is.
#[derive(Debug, Clone)]
pub(crate) struct SessionPort {
    actor: ActorRef<Message>,
    scope: Arc<SessionScope>,
}

impl SessionPort {
    pub(crate) async fn spawn(
        supervisor: ActorCell,
        arguments: Arguments,
    ) -> Result<Self, SpawnErr> {
        let scope = Arc::clone(&arguments.scope);
        let (actor, _joined_by_waiting) =
            Actor::spawn_linked(None, SessionActor, arguments, supervisor).await?;
        Ok(Self { actor, scope })
    }

    /// Asks the session to close. One whose actor is dead is already on its way out.
    pub(crate) fn close(&self) {
        if self.actor.cast(Message::Close).is_err() {
            self.scope.tasks.token().cancel();
        }
    }

    /// Has connections leave and others come; false if the session has ended.
    pub(crate) fn shift(&self, shift: Shift) -> bool {
        self.actor.cast(Message::Shift(shift)).is_ok()
    }

    /// Waits until the actor has ended.
    pub(crate) async fn ended(&self) {
        // Without a limit there is no error.
        drop(self.actor.wait(None).await);
    }

    #[cfg(test)]
    pub(crate) fn panic_in(&self, place: Option<usize>) {
        self.actor.cast(Message::PanicIn(place)).unwrap();
    }
}

impl Actor for SessionActor {
    type Msg = Message;
    type State = ActorState;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        Arguments { scope, connections }: Arguments,
    ) -> Result<ActorState, ActorProcessingErr> {
        Ok(ActorState {
            first: connections,
            children: BTreeMap::new(),
            closing: false,
            crashes: Intensity::default(),
            budget: RestartPolicy::on_failure().max_restarts(5, Duration::from_secs(60)),
            born: Instant::now(),
            _end: scope.tasks.token().clone().drop_guard(),
            counted: Some(scope.census.actor()),
            scope,
        })
    }

    async fn post_start(
        &self,
        myself: ActorRef<Message>,
        state: &mut ActorState,
    ) -> Result<(), ActorProcessingErr> {
        for connection in std::mem::take(&mut state.first) {
            state.start(&myself, connection, false).await?;
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut ActorState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Close => state.close(&myself),
            Message::Shift(shift) => state.shift(&myself, shift).await?,
            #[cfg(test)]
            Message::PanicIn(None) => panic!("asked to"),
            #[cfg(test)]
            Message::PanicIn(place) => state.panic_in(place),
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Message>,
        state: &mut ActorState,
    ) -> Result<(), ActorProcessingErr> {
        // The state outlives the actor in its supervisor's mailbox.
        state.counted = None;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut ActorState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(cell, _, reason) => {
                let reason = reason.unwrap_or_else(|| "stopped".to_owned());
                state.ended(&myself, &cell, &reason).await?;
            }
            SupervisionEvent::ActorFailed(cell, error) => {
                state.ended(&myself, &cell, &error).await?;
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl ActorState {
    async fn start(
        &mut self,
        myself: &ActorRef<Message>,
        connection: Arc<Connection>,
        after_crash: bool,
    ) -> Result<(), SpawnErr> {
        let eager = connection.spec.opening == Opening::Eager;
        let arguments = ConnectionArguments { connection: Arc::clone(&connection), after_crash };
        // The child's pre_start does not wait, so neither does this.
        let (actor, _joined_by_supervision) =
            Actor::spawn_linked(None, ConnectionActor, arguments, myself.get_cell()).await?;
        if !after_crash && eager {
            drop(actor.cast(ConnectionMessage::Start));
        }
        self.children.insert(actor.get_id(), Child { actor, connection, successor: None });
        Ok(())
    }

    /// What leaves is told to stop; what takes its place is started when that is done.
    async fn shift(&mut self, myself: &ActorRef<Message>, shift: Shift) -> Result<(), SpawnErr> {
        for (leaving, successor) in shift.leaving {
            let of_it = |child: &&mut Child| Arc::ptr_eq(&child.connection, &leaving);
            match self.children.values_mut().find(of_it) {
                Some(child) => {
                    child.successor = successor;
                    drop(child.actor.cast(ConnectionMessage::Stop));
                }
                // It waits for another to be gone, or was given up before.
                None => match self.predecessor(&leaving) {
                    Some(child) => {
                        child.successor = successor;
                        bury(&leaving);
                    }
                    None => self.follow(myself, &leaving, successor).await?,
                },
            }
        }
        for connection in shift.coming {
            if !self.closing {
                self.start(myself, connection, false).await?;
            }
        }
        Ok(())
    }

    /// The child in whose place this is to be started.
    fn predecessor(&mut self, of: &Arc<Connection>) -> Option<&mut Child> {
        let is_it = |next: &Arc<Connection>| Arc::ptr_eq(next, of);
        self.children.values_mut().find(|child| child.successor.as_ref().is_some_and(is_it))
    }

    /// Ends what has left, and starts what takes its place.
    async fn follow(
        &mut self,
        myself: &ActorRef<Message>,
        left: &Connection,
        successor: Option<Arc<Connection>>,
    ) -> Result<(), SpawnErr> {
        bury(left);
        let Some(successor) = successor.filter(|_| !self.closing) else { return Ok(()) };
        succeed(&successor, left);
        self.start(myself, successor, false).await
    }

    fn close(&mut self, myself: &ActorRef<Message>) {
        self.closing = true;
        // In the reverse of the order in which they were started.
        for child in self.children.values().rev() {
            drop(child.actor.cast(ConnectionMessage::Stop));
        }
        self.finish_if_empty(myself);
    }

    /// A connection's actor ends when it was told to; otherwise it died of a defect.
    async fn ended(
        &mut self,
        myself: &ActorRef<Message>,
        cell: &ActorCell,
        reason: &(dyn std::fmt::Display + Send + Sync),
    ) -> Result<(), SpawnErr> {
        let Some(child) = self.children.remove(&cell.get_id()) else { return Ok(()) };
        let Child { connection, successor, .. } = child;
        // What dies of a defect on its way out is on its way out all the same.
        if connection.has_left() {
            self.follow(myself, &connection, successor).await?;
        }
        if self.closing {
            self.finish_if_empty(myself);
            return Ok(());
        }
        if connection.has_left() {
            return Ok(());
        }
        let reason = self.scope.secrets.redactor.redact(&reason.to_string()).into_owned();
        telemetry::actor_died(&connection.span, "connection", &reason);
        self.scope.census.crashed();
        if self.crashes.admit(self.born.elapsed(), &self.budget) {
            self.start(myself, connection, true).await?;
        } else {
            give_up(&connection);
        }
        Ok(())
    }

    fn finish_if_empty(&self, myself: &ActorRef<Message>) {
        if self.closing && self.children.is_empty() {
            self.scope.tasks.token().cancel();
            myself.stop(None);
        }
    }

    #[cfg(test)]
    fn panic_in(&self, place: Option<usize>) {
        for child in self.children.values().filter(|child| Some(child.connection.place) == place) {
            child.actor.cast(ConnectionMessage::Panic).unwrap();
        }
    }
}
