//! Sessions that do nothing, after one call each.

use callboard::{Runtime, ServerSpec, Session, StreamableHttp};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rmcp::RoleClient;
use rmcp::model::{CallToolRequestParams, JsonObject};
use rmcp::service::{RunningService, ServiceExt};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const TEXT: &str = "one call to each";
/// The call of the floor.
const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"one call to each"}}}"#;

/// What is open at the same time, each with a URL of its own.
pub(crate) trait IdleFleet: Sized {
    /// What its lines in the report start with.
    const NAME: &'static str;
    /// Where the server is asked.
    const PATH: &'static str;
    fn open(urls: Vec<String>) -> impl Future<Output = Self>;
    fn close(self) -> impl Future<Output = ()>;
}

/// The path with a session id and an open stream, or the one without.
const fn path(session: bool) -> &'static str {
    if session { "/session" } else { "/mcp" }
}

/// Does `work` with every URL at once.
async fn for_each<T: Send + 'static, W>(urls: Vec<String>, work: impl Fn(String) -> W) -> Vec<T>
where
    W: Future<Output = T> + Send + 'static,
{
    urls.into_iter().map(work).collect::<JoinSet<T>>().join_all().await
}

/// Sessions of one runtime of this crate.
pub(crate) struct Sessions<const SESSION: bool> {
    runtime: Runtime,
    sessions: Vec<Session>,
}

impl<const SESSION: bool> IdleFleet for Sessions<SESSION> {
    const NAME: &'static str = if SESSION { "callboard-session" } else { "callboard" };
    const PATH: &'static str = path(SESSION);

    async fn open(urls: Vec<String>) -> Self {
        let runtime = Runtime::start().await;
        let open = |url: String| {
            let session = runtime.session(&url);
            let spec = ServerSpec::new("echo", StreamableHttp::new(url)).required();
            async move {
                let session = session.server(spec).open().await.expect("open the session");
                let output = session.call("echo.echo", json!({ "text": TEXT })).await;
                assert_eq!(output.expect("an answer").text(), TEXT);
                session
            }
        };
        let sessions = for_each(urls, open).await;
        Self { runtime, sessions }
    }

    async fn close(self) {
        let closing: JoinSet<_> =
            self.sessions.into_iter().map(|session| async move { session.close().await }).collect();
        closing.join_all().await;
        self.runtime.shutdown().await;
    }
}

type RmcpClient = RunningService<RoleClient, ()>;

/// Clients of the official SDK, as they come.
pub(crate) struct RmcpClients<const SESSION: bool>(Vec<RmcpClient>);

impl<const SESSION: bool> IdleFleet for RmcpClients<SESSION> {
    const NAME: &'static str = if SESSION { "rmcp-session" } else { "rmcp" };
    const PATH: &'static str = path(SESSION);

    async fn open(urls: Vec<String>) -> Self {
        let open = |url: String| open_rmcp(StreamableHttpClientTransport::from_uri(url));
        Self(for_each(urls, open).await)
    }

    async fn close(self) {
        close_rmcp(self.0).await;
    }
}

/// Clients of the official SDK with one pooled HTTP client among them.
pub(crate) struct RmcpShared(Vec<RmcpClient>);

impl IdleFleet for RmcpShared {
    const NAME: &'static str = "rmcp-shared";
    const PATH: &'static str = path(false);

    async fn open(urls: Vec<String>) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("build the client");
        let open = |url: String| {
            let config = StreamableHttpClientTransportConfig::with_uri(url);
            open_rmcp(StreamableHttpClientTransport::with_client(client.clone(), config))
        };
        Self(for_each(urls, open).await)
    }

    async fn close(self) {
        close_rmcp(self.0).await;
    }
}

async fn open_rmcp(transport: StreamableHttpClientTransport<reqwest::Client>) -> RmcpClient {
    let client = ().serve(transport).await.expect("shake hands");
    assert_eq!(client.list_all_tools().await.expect("list the tools").len(), 1);
    let arguments = JsonObject::from_iter([("text".to_owned(), TEXT.into())]);
    let params = CallToolRequestParams::new("echo").with_arguments(arguments);
    let result = client.call_tool(params).await.expect("an answer");
    let texts = result.content.iter().filter_map(|block| block.as_text());
    assert_eq!(texts.map(|block| block.text.as_str()).collect::<String>(), TEXT);
    client
}

async fn close_rmcp(clients: Vec<RmcpClient>) {
    let close = |client: RmcpClient| async { client.cancel().await.expect("close the client") };
    clients.into_iter().map(close).collect::<JoinSet<_>>().join_all().await;
}

/// Bare connections of hyper.
pub(crate) struct Connections {
    senders: Vec<SendRequest<Full<Bytes>>>,
    tasks: JoinSet<hyper::Result<()>>,
}

impl IdleFleet for Connections {
    const NAME: &'static str = "floor";
    const PATH: &'static str = path(false);

    async fn open(urls: Vec<String>) -> Self {
        let mut fleet = Self { senders: Vec::new(), tasks: JoinSet::new() };
        for url in urls {
            let uri: Uri = url.parse().expect("a URI");
            let authority = uri.authority().expect("a host and a port").as_str();
            let stream = TcpStream::connect(authority).await.expect("connect");
            let (mut sender, connection) = handshake(TokioIo::new(stream)).await.expect("connect");
            fleet.tasks.spawn(connection);
            let mut request = Request::new(Full::new(Bytes::from_static(CALL)));
            *request.method_mut() = Method::POST;
            *request.uri_mut() = uri;
            let answer = sender.send_request(request).await.expect("an answer");
            answer.into_body().collect().await.expect("a body");
            fleet.senders.push(sender);
        }
        fleet
    }

    async fn close(self) {
        drop(self.senders);
        self.tasks.join_all().await;
    }
}
