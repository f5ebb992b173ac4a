//! A link to a server behind a URL.

use std::sync::Arc;

use tokio::sync::{Notify, oneshot};

use super::{Carrier, Epoch, Running};
use crate::{
    connection::{
        handshake::{self, Agreement, Era, HandshakeError, Plan},
        health,
        link::Way,
        remote::{Remote, open_sse},
    },
    error::ConnectError,
    policy::HealthCheck,
    spec::{Dialect, Http, HttpEra, Pin},
    status::TransportKind,
    telemetry,
    transport::http::endpoint::{Access, Endpoint},
};

type Connected = (Agreement, Running, Arc<Remote>);

impl Epoch {
    /// Finds out what the server speaks, and opens a link in that: streamable HTTP of either era, or
    /// HTTP+SSE where it understands neither. What was learnt about a URL is kept for the runtime's
    /// other sessions.
    pub(super) async fn open_remote(
        &self,
        http: &Http,
        slot: &mut Option<Running>,
    ) -> Result<(Agreement, Running), ConnectError> {
        let clients = &self.connection.scope.clients;
        if !http.client.verify {
            telemetry::certificates_not_verified(&self.span);
        }
        let max_frame = self.connection.spec.limits.max_frame;
        let access = self.access().await?;
        let endpoint = Endpoint::new(http, clients, max_frame, access).map_err(Arc::new)?;
        let known = clients.known(&http.url);
        let era = self.era.or(known.map(|known| known.era.into()));
        let sse = known.is_some_and(|known| known.sse);
        let opened = match http.pinned {
            Some(Pin::Streamable(era)) => {
                self.open_streamable(&endpoint, Plan::Only(era.into()), slot).await
            }
            Some(Pin::Sse) => self.open_sse(&endpoint, era, slot).await,
            None if sse => self.open_sse(&endpoint, era, slot).await,
            None => self.open_streamable(&endpoint, Plan::FindOut(era), slot).await,
        };
        match opened {
            Ok((agreement, running, remote)) => {
                clients.learn(&http.url, dialect(&agreement, &remote));
                // What its exchanges meet casts doubt on it, whatever the host thinks of timeouts.
                let check = self.connection.spec.health.unwrap_or(HealthCheck::indifferent());
                let probe_every = check.probe_every.or(http.probe_every);
                let check = HealthCheck { probe_every, ..check };
                self.spawn(health::watch(Arc::clone(&running.link), check, remote));
                Ok((agreement, running))
            }
            Err(error) => {
                clients.forget(&http.url);
                Err(error)
            }
        }
    }

    /// Whom we are to the server, as far as that is known before it is asked.
    async fn access(&self) -> Result<Access, ConnectError> {
        // Every server behind a URL has one.
        let authority = self.connection.authority.clone().ok_or(ConnectError::Spawn {
            command: String::new(),
            source: Arc::new(std::io::ErrorKind::Unsupported.into()),
        })?;
        let headers = authority.renew().await?;
        Ok(Access { headers, authority, redactor: self.connection.scope.secrets.redactor.clone() })
    }

    async fn open_streamable(
        &self,
        endpoint: &Endpoint,
        plan: Plan,
        slot: &mut Option<Running>,
    ) -> Result<Connected, ConnectError> {
        let (running, remote) = self.connect(endpoint.clone(), TransportKind::StreamableHttp);
        let running = slot.insert(running).clone();
        match self.shake(&running, plan).await {
            Ok(agreement) => {
                if agreement.era == Era::Legacy {
                    self.listen(&running, &remote).await;
                }
                Ok((agreement, running, remote))
            }
            Err(first) if plan.finds_out() && is_foreign(&first) => {
                let first = first.on_record(|| running.link.record());
                self.tear_down(running).await;
                let opened = self.open_sse(endpoint, None, slot).await;
                // Where that is none of it either, what was said first says more.
                if opened.as_ref().is_err_and(is_foreign) { Err(first) } else { opened }
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the stream of the server's own messages before the first call, which could need it.
    async fn listen(&self, running: &Running, remote: &Arc<Remote>) {
        remote.letters_have_arrived().await;
        let (opened, known) = oneshot::channel();
        self.spawn(Arc::clone(remote).listen(Arc::clone(&running.link), opened));
        // Some servers send the head of the stream with its first event only.
        drop(tokio::time::timeout(self.patience(), known).await);
    }

    async fn open_sse(
        &self,
        endpoint: &Endpoint,
        era: Option<Era>,
        slot: &mut Option<Running>,
    ) -> Result<Connected, ConnectError> {
        let (endpoint, events) = open_sse(endpoint).await?;
        let (running, remote) = self.connect(endpoint, TransportKind::HttpSse);
        let running = slot.insert(running).clone();
        self.spawn(Arc::clone(&remote).read_all(Arc::clone(&running.link), events));
        let agreement = self.shake(&running, Plan::FindOut(era)).await?;
        remote.letters_have_arrived().await;
        Ok((agreement, running, remote))
    }

    async fn shake(&self, running: &Running, plan: Plan) -> Result<Agreement, ConnectError> {
        let us = &self.connection.introduction;
        // A request over streamable HTTP always gets a status, so silence only means that the server is
        // slow; over HTTP+SSE it may mean that it ignores what it does not know.
        let patience = match running.carrier.kind() {
            TransportKind::StreamableHttp => self.connection.spec.init_timeout / 2,
            TransportKind::HttpSse | TransportKind::Stdio | TransportKind::Memory => {
                self.patience()
            }
        };
        match handshake::shake(&running.link, us, plan, patience).await {
            Ok(agreement) => Ok(agreement),
            Err(HandshakeError::EndedAtProbe(error) | HandshakeError::Failed(error)) => Err(error),
        }
    }

    /// Makes a link; no connection is opened before its first message.
    fn connect(&self, endpoint: Endpoint, kind: TransportKind) -> (Running, Arc<Remote>) {
        let tools_changed = Arc::new(Notify::new());
        let (far, changed) = ((endpoint, kind), Arc::clone(&tools_changed));
        let remote = Arc::new(Remote::new(&self.connection, self.span.clone(), far, changed));
        let way = Way::Exchanges(Arc::clone(&remote) as _);
        let link = self.link(way);
        remote.attach(&link);
        self.spawn(Arc::clone(&link).clock());
        (Running { link, tools_changed, carrier: Carrier::Remote(Arc::clone(&remote)) }, remote)
    }
}

/// Whether nobody there understood us, so that it may be a server of another dialect.
fn is_foreign(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Http { error, .. } if error.is_foreign())
}

fn dialect(agreement: &Agreement, remote: &Remote) -> Dialect {
    let era = match agreement.era {
        Era::Modern => HttpEra::Modern,
        Era::Legacy => HttpEra::Legacy,
    };
    Dialect { sse: remote.kind() == TransportKind::HttpSse, era }
}

impl From<HttpEra> for Era {
    fn from(era: HttpEra) -> Self {
        match era {
            HttpEra::Modern => Self::Modern,
            HttpEra::Legacy => Self::Legacy,
        }
    }
}
