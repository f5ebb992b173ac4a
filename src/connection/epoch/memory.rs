//! A link to a server in this process.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{Carrier, Epoch, Running};
use crate::{
    connection::{
        handshake::{self, Agreement, HandshakeError, Plan},
        inbound::Inbound,
        link::{DownOnDrop, Link, Loss, Way},
    },
    error::{ConnectError, Delivery, DownCause, DownReason, HttpError},
    transport::memory::{Memory, Refusal},
};

/// Does with a status what is done with one that came over HTTP.
fn refuse(link: &Link, Refusal { request, status }: Refusal) {
    let delivery = match status {
        404 => {
            link.refused(request);
            return link.go_down(DownReason::new(DownCause::HttpSessionLost));
        }
        429 => Delivery::NotSent,
        400..500 => Delivery::Answered,
        _ => Delivery::MaybeSent,
    };
    let (retry_after, challenge, body) = (None, None, String::new());
    let origin = "memory".to_owned();
    let error = HttpError::Status { origin, status, retry_after, challenge, body };
    link.fail(request, Loss::Http { error: Arc::new(error), delivery });
}

impl Epoch {
    pub(super) async fn open_memory(
        &self,
        memory: &Memory,
        slot: &mut Option<Running>,
    ) -> Result<(Agreement, Running), ConnectError> {
        let stream = Arc::new(memory.connect().ok_or(ConnectError::NotListening)?);
        let limits = self.connection.spec.limits;
        let sink = stream.sink();
        let link = self.link(Way::Stream(Arc::clone(&sink)));
        let tools_changed = Arc::new(Notify::new());
        let (connection, changed) = (Arc::clone(&self.connection), Arc::clone(&tools_changed));
        let mut inbound = Inbound::new(connection, Arc::clone(&link), changed);
        let running = Running {
            link: Arc::clone(&link),
            tools_changed,
            carrier: Carrier::Memory(Arc::clone(&stream)),
        };
        let running = slot.insert(running).clone();
        self.spawn(Arc::clone(&link).write(sink));
        self.spawn(Arc::clone(&link).clock());
        self.spawn(async move {
            let _guard = DownOnDrop(&link);
            let refused = |refusal| refuse(&link, refusal);
            let cause = stream.read_frames(limits.max_frame, &mut inbound, refused).await;
            link.go_down(DownReason::new(cause));
        });
        let (us, plan) = (&self.connection.introduction, Plan::FindOut(self.era));
        match handshake::shake(&running.link, us, plan, self.patience()).await {
            Ok(agreement) => Ok((agreement, running)),
            Err(HandshakeError::EndedAtProbe(error) | HandshakeError::Failed(error)) => Err(error),
        }
    }
}
