//! The actor at the root of a runtime: notices when a session's actor dies of a defect.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tracing::Span;

use crate::{
    census::Census,
    session_actor::{Arguments as SessionArguments, SessionPort},
    telemetry,
};

pub(crate) struct Supervisor;

pub(crate) struct ActorState {
    census: Arc<Census>,
    span: Span,
}

/// The root takes no messages: it is spawned under, and told by supervision.
#[derive(Debug)]
pub(crate) enum Message {}

/// The way to the root, for those who must not know what an actor is.
#[derive(Debug)]
pub(crate) struct SupervisorPort(ActorRef<Message>);

impl SupervisorPort {
    pub(crate) async fn spawn(census: Arc<Census>, span: Span) -> Result<Self, SpawnErr> {
        let state = ActorState { census, span };
        let (actor, _joined_by_stopping) = Actor::spawn(None, Supervisor, state).await?;
        Ok(Self(actor))
    }

    pub(crate) async fn open(&self, session: SessionArguments) -> Result<SessionPort, SpawnErr> {
        SessionPort::spawn(self.0.get_cell(), session).await
    }

    pub(crate) fn stop(&self) {
        self.0.stop(None);
    }

    pub(crate) async fn ended(&self) {
        // Without a limit there is no error.
        drop(self.0.wait(None).await);
    }
}

impl Actor for Supervisor {
    type Msg = Message;
    type State = ActorState;
    type Arguments = ActorState;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        state: ActorState,
    ) -> Result<ActorState, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut ActorState,
    ) -> Result<(), ActorProcessingErr> {
        // What the session had ends with the actor's state; a session is not started again, for
        // its host has handles to servers of which nothing is known any more.
        if let SupervisionEvent::ActorFailed(_, error) = event {
            telemetry::actor_died(&state.span, "session", &error);
            state.census.crashed();
        }
        Ok(())
    }
}
