//! Where the browser of whoever logs in comes back to: a port of this machine (RFC 8252, 7.3).

use std::{io, net::IpAddr, time::Duration};

use reqwest::Url;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// How long a browser may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// No redirect is longer.
const LONGEST: usize = 16 << 10;

/// A port of this machine that waits for a browser.
#[derive(Debug)]
pub(super) struct Loopback {
    listener: TcpListener,
    redirect_uri: Url,
}

/// A browser that has come back, and waits for a page.
pub(super) struct Visit {
    stream: TcpStream,
    pub(super) url: Url,
}

impl Loopback {
    /// Listens at a free port.
    pub(super) async fn anywhere() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let redirect_uri = Url::parse(&format!("http://127.0.0.1:{port}/callback"));
        Ok(Self { listener, redirect_uri: redirect_uri.map_err(io::Error::other)? })
    }

    /// Listens at a URL, if it is one of this machine with a port.
    pub(super) async fn at(redirect_uri: &Url) -> Option<io::Result<Self>> {
        let host = redirect_uri.host_str()?.trim_matches(['[', ']']);
        let address = match host {
            "localhost" => IpAddr::from([127, 0, 0, 1]),
            literal => literal.parse().ok().filter(IpAddr::is_loopback)?,
        };
        let port = redirect_uri.port().filter(|_| redirect_uri.scheme() == "http")?;
        let bound = TcpListener::bind((address, port)).await;
        Some(bound.map(|listener| Self { listener, redirect_uri: redirect_uri.clone() }))
    }

    pub(super) fn redirect_uri(&self) -> &Url {
        &self.redirect_uri
    }

    /// Waits until a browser asks for the redirect's own path. Whoever asks for anything else, such
    /// as an icon, is told that there is none.
    pub(super) async fn visit(&self) -> io::Result<Visit> {
        loop {
            let (mut stream, _) = self.listener.accept().await?;
            let asked = tokio::time::timeout(PATIENCE, read(&mut stream)).await;
            let target = asked.ok().and_then(Result::ok).flatten();
            let url = target.and_then(|target| self.redirect_uri.join(&target).ok());
            let meant = |url: &Url| {
                url.origin() == self.redirect_uri.origin() && url.path() == self.redirect_uri.path()
            };
            match url.filter(meant) {
                Some(url) => return Ok(Visit { stream, url }),
                None => answer(stream, "404 Not Found", "There is nothing here.").await,
            }
        }
    }
}

impl Visit {
    pub(super) async fn thank(self) {
        answer(self.stream, "200 OK", "You are logged in. This window can be closed.").await;
    }

    pub(super) async fn refuse(self) {
        let text = "The login did not succeed. The program that asked for it knows why.";
        answer(self.stream, "400 Bad Request", text).await;
    }
}

/// The target of a GET request.
async fn read(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > LONGEST || stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    Ok(words.next().filter(|method| *method == "GET").and_then(|_| words.next()).map(str::to_owned))
}

/// Sends a page, to whoever still wants it.
async fn answer(mut stream: TcpStream, status: &str, text: &str) {
    let page = format!("<!doctype html><meta charset=utf-8><title>Login</title><p>{text}</p>");
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n",
        page.len()
    );
    let sent = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(page.as_bytes()).await?;
        stream.shutdown().await
    };
    drop(tokio::time::timeout(PATIENCE, sent).await);
}
