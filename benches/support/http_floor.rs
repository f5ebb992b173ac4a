//! The least a client must do on HTTP: one write of ready-made bytes and as many reads as the
//! answer takes, by the caller itself on a connection of its own. It neither parses nor pools more
//! than that.

use memchr::memmem;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http_request::{body, headers, text_in};
use crate::http_server::HttpServer;
use crate::manner::Manner;
use crate::peer::Peer;

const LENGTH: &[u8] = b"content-length: ";

pub(crate) struct HttpFloor {
    idle: Mutex<Vec<Connection>>,
    server: HttpServer,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Peer for HttpFloor {
    const NAME: &'static str = "floor";

    /// The request with its head.
    type Request = Vec<u8>;

    fn request(text: &str) -> Vec<u8> {
        let body = body(text);
        let mut head = String::from("POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\n");
        for (name, value) in &headers() {
            let value = value.to_str().expect("a header of letters");
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    async fn open(manner: Manner) -> Self {
        Self { idle: Mutex::default(), server: HttpServer::start(manner) }
    }

    async fn call(&self, request: &Vec<u8>) -> Result<usize, String> {
        let idle = self.idle.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await,
        };
        let length = connection.exchange(request).await.map_err(|error| error.to_string())?;
        self.idle.lock().push(connection);
        text_in(length)
    }

    fn pid(&self) -> u32 {
        self.server.child.id()
    }

    async fn close(self) {
        drop(self.idle);
        self.server.stop();
    }
}

impl HttpFloor {
    async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.server.address(0)).await.expect("connect");
        stream.set_nodelay(true).expect("set an option of a socket");
        Connection { stream, input: Vec::new() }
    }
}

impl Connection {
    async fn exchange(&mut self, request: &[u8]) -> std::io::Result<usize> {
        self.stream.write_all(request).await?;
        self.input.clear();
        loop {
            let missing = match measure(&self.input) {
                None => 16 * 1024,
                Some((length, 0)) => return Ok(length),
                Some((_, missing)) => missing,
            };
            self.input.reserve(missing);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// How long the body is and how much of it is missing, once its length is there.
fn measure(input: &[u8]) -> Option<(usize, usize)> {
    let head = memmem::find(input, b"\r\n\r\n")? + 4;
    let at = memmem::find(&input[..head], LENGTH)? + LENGTH.len();
    let digits = input[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    Some((length, (head + length).saturating_sub(input.len())))
}
