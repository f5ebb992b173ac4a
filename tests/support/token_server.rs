//! An authorization server that gives tokens for whatever it is asked, as a test says, and remembers
//! every request. It lives on a thread of its own.

#![allow(dead_code, reason = "each test uses its own part of it")]
#![allow(missing_docs, reason = "a test's server")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use callboard::{Login, Server};
use reqwest::Url;
use serde_json::{Value, json};

/// What was asked of it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    /// The form, as it came.
    pub(crate) form: String,
}

impl Asked {
    /// A field of the form.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let form = Url::parse(&format!("http://form/?{}", self.form)).unwrap();
        form.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// Status and body of its answer to the nth request, from 1.
type Plan = Box<dyn FnMut(usize, &Asked) -> (u16, String) + Send>;

struct Shared {
    asked: Mutex<Vec<Asked>>,
    plan: Mutex<Plan>,
}

pub(crate) struct TokenServer {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A token of this name that lives this many seconds.
pub(crate) fn token(name: &str, seconds: u32) -> (u16, String) {
    let body =
        format!(r#"{{"access_token":"{name}","token_type":"Bearer","expires_in":{seconds}}}"#);
    (200, body)
}

impl TokenServer {
    pub(crate) fn start(plan: impl FnMut(usize, &Asked) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let plan: Plan = Box::new(plan);
        let shared = Arc::new(Shared { asked: Mutex::default(), plan: Mutex::new(plan) });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if !serve(stream.unwrap(), &serving) {
                    return;
                }
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/token", self.origin())
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.asked().len()
    }

    pub(crate) fn plan(&self, plan: impl FnMut(usize, &Asked) -> (u16, String) + Send + 'static) {
        *self.shared.plan.lock().unwrap() = Box::new(plan);
    }
}

/// Answers one request; false if it is the last.
fn serve(mut stream: TcpStream, shared: &Shared) -> bool {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut length, mut authorization, mut line) = (0, None, String::new());
    reader.read_line(&mut line).unwrap();
    if line.starts_with("QUIT") {
        return false;
    }
    let path = line.split(' ').nth(1).unwrap().to_owned();
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        let (name, value) = line.trim_end().split_once(": ").unwrap();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form).unwrap();
    let asked = Asked { path, authorization, form: String::from_utf8(form).unwrap() };
    let number = {
        let mut all = shared.asked.lock().unwrap();
        all.push(asked.clone());
        all.len()
    };
    let (status, body) = (shared.plan.lock().unwrap())(number, &asked);
    let head = format!("HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\n");
    let length = body.len();
    // The client may be gone.
    write!(stream, "{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .unwrap_or_default();
    true
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        TcpStream::connect(self.address).unwrap().write_all(b"QUIT\r\n").unwrap();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the token server panicked");
    }
}

/// What an authorization server says of itself and of the server whose it is; `token` is its answer
/// to requests for tokens.
pub(crate) fn described(
    tokens: &TokenServer,
    resource: String,
    pkce: &'static [&'static str],
    token: impl Fn(&Asked) -> (u16, String) + Send + 'static,
) {
    let origin = tokens.origin();
    tokens.plan(move |_, asked| match asked.path.as_str() {
        "/.well-known/oauth-protected-resource" => {
            let described = json!({ "resource": resource, "authorization_servers": [origin] });
            (200, described.to_string())
        }
        "/.well-known/oauth-authorization-server" => {
            (200, metadata(&origin, &origin, pkce).to_string())
        }
        "/token" => token(asked),
        _ => (404, "{}".to_owned()),
    });
}

/// What an authorization server says of itself.
pub(crate) fn metadata(issuer: &str, origin: &str, pkce: &[&str]) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{origin}/authorize"),
        "token_endpoint": format!("{origin}/token"),
        "registration_endpoint": format!("{origin}/register"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": pkce,
    })
}

/// How the server says where its authorization server is.
pub(crate) fn challenge(tokens: &TokenServer) -> String {
    format!("Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource\"", tokens.origin())
}

/// The answer of the authorization server to a login, and to a renewal with what came of it.
pub(crate) fn renewable(asked: &Asked) -> (u16, String) {
    let name = match asked.form.contains("refresh_token=renew-it") {
        true => "second-token",
        false => "first-token",
    };
    let given =
        json!({ "access_token": name, "token_type": "Bearer", "refresh_token": "renew-it" });
    (200, given.to_string())
}

/// A person logs in.
pub(crate) async fn log_in(server: &Server) {
    finish(&server.login().await.unwrap()).await;
}

/// A person comes back from a login.
pub(crate) async fn finish(login: &Login) {
    let url = Url::parse(login.url()).unwrap();
    let asked = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1;
    let back = format!("{}?code=x&state={}", asked("redirect_uri"), asked("state"));
    login.finish(&back).await.unwrap();
}
