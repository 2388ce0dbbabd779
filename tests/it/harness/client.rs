//! An HTTP/1.1 caller over a bare socket, so that tests decide about every byte and see every one that comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::PATIENCE;

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Names in lower case, in order.
    pub(crate) headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The body ended as its framing promised.
    pub(crate) complete: bool,
}

/// How the bytes of a body are told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Framing {
    /// This many bytes are still to come.
    Sized(usize),
    /// Chunks.
    Chunked,
    /// All until the connection ends.
    UntilClose,
}

/// One step of reading a body.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    /// More of it.
    Data(Vec<u8>),
    /// It ended as its framing promised.
    End,
    /// The connection ended first.
    Broken,
}

impl Connection {
    pub(crate) fn open(to: SocketAddr) -> Self {
        Self::try_open(to).unwrap_or_else(|| panic!("nobody listens on {to}"))
    }

    /// `None`: nobody accepts.
    pub(crate) fn try_open(to: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(to).ok()?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Some(Self { stream, unread: Vec::new() })
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends bytes as they are to a gateway that may have closed already; whether it had not.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Another handle of the same connection, for reading while this one writes.
    pub(crate) fn twin(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), unread: Vec::new() }
    }

    /// Sends a whole request; the `host` and `content-length` headers are added.
    pub(crate) fn send_request(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) {
        let mut bytes = format!(
            "{method} {target} HTTP/1.1\r\nhost: gateway\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes);
    }

    /// The socket itself, for a test that decides how fast it reads.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Closes the sending half only. That there was nothing left to close, because the gateway was faster, is as good.
    pub(crate) fn half_close(&self) {
        if let Err(error) = self.stream.shutdown(Shutdown::Write) {
            assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");
        }
    }

    /// Ends the connection with a reset instead of a goodbye.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads more into `unread`; false at the end or a reset.
    fn fill(&mut self) -> bool {
        let mut piece = [0; 65_536];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(count) => {
                self.unread.extend_from_slice(&piece[..count]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came for {:?}; unread: {:?}", PATIENCE, String::from_utf8_lossy(&self.unread))
            }
            Err(_) => false,
        }
    }

    /// How long until the peer closes, and what it said before.
    pub(crate) fn wait_closed(&mut self) -> (Duration, Vec<u8>) {
        let begun = Instant::now();
        while self.fill() {}
        (begun.elapsed(), std::mem::take(&mut self.unread))
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.unread, b"\r\n") {
                let line = self.unread.drain(..at + 2).take(at).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// The head of the next answer; `None` when the connection ends first.
    pub(crate) fn try_head(&mut self) -> Option<Head> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(Head { status: status.unwrap(), headers });
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line}"));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The head of the next answer.
    pub(crate) fn head(&mut self) -> Head {
        self.try_head().expect("the connection ended where an answer was due")
    }

    /// The next piece of a body.
    pub(crate) fn piece(&mut self, framing: &mut Framing) -> Piece {
        match framing {
            Framing::Sized(0) => Piece::End,
            Framing::Sized(left) => {
                if self.unread.is_empty() && !self.fill() {
                    return Piece::Broken;
                }
                let count = self.unread.len().min(*left);
                *left -= count;
                Piece::Data(self.unread.drain(..count).collect())
            }
            Framing::UntilClose => {
                if self.unread.is_empty() && !self.fill() {
                    return Piece::End;
                }
                Piece::Data(std::mem::take(&mut self.unread))
            }
            Framing::Chunked => self.chunk().unwrap_or(Piece::Broken),
        }
    }

    fn chunk(&mut self) -> Option<Piece> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or("");
        let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
        while self.unread.len() < size {
            if !self.fill() {
                return None;
            }
        }
        let data: Vec<u8> = self.unread.drain(..size).collect();
        if size > 0 {
            assert_eq!(self.line()?, "", "a chunk ends with a line's end");
            return Some(Piece::Data(data));
        }
        while !self.line()?.is_empty() {}
        Some(Piece::End)
    }

    /// The rest of a body, and whether it ended as promised.
    pub(crate) fn body(&mut self, mut framing: Framing) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            match self.piece(&mut framing) {
                Piece::Data(data) => body.extend_from_slice(&data),
                Piece::End => return (body, true),
                Piece::Broken => return (body, false),
            }
        }
    }

    /// The whole next answer to a request of `method`.
    pub(crate) fn answer(&mut self, method: &str) -> Answer {
        let head = self.head();
        let (body, complete) = self.body(head.framing(method));
        Answer { status: head.status, headers: head.headers, body, complete }
    }
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn framing(&self, method: &str) -> Framing {
        let value = |name: &str| self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        if method == "HEAD" || matches!(self.status, 100..200 | 204 | 304) {
            return Framing::Sized(0);
        }
        if value("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return Framing::Chunked;
        }
        value("content-length").map_or(Framing::UntilClose, |length| Framing::Sized(length.parse().unwrap()))
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The code of an error that was made by the gateway, in either dialect.
    pub(crate) fn code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let code = body.pointer("/error/code").filter(|code| code.is_string());
        code.or(body.pointer("/error/details/error_code"))?.as_str().map(str::to_owned)
    }
}

/// One request over a connection of its own.
pub(crate) fn request(to: SocketAddr, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
    let mut connection = Connection::open(to);
    connection.send_request(method, target, headers, body);
    connection.answer(method)
}

pub(crate) fn get(to: SocketAddr, target: &str) -> Answer {
    request(to, "GET", target, "", b"")
}

pub(crate) fn post_json(to: SocketAddr, target: &str, body: &str) -> Answer {
    request(to, "POST", target, "content-type: application/json\r\n", body.as_bytes())
}

/// What the record says of a request, by dimmer's id or the answer's.
pub(crate) fn explained(admin: SocketAddr, request_id: &str) -> Answer {
    let body = serde_json::json!({ "request_id": request_id }).to_string();
    let request = format!(
        "POST /api/v1/explain HTTP/1.1\r\nhost: {admin}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = Connection::open(admin);
    connection.send(request.as_bytes());
    connection.answer("POST")
}

/// Kills or revives a target, and waits until it is acknowledged: the next request obeys. The admin API wants its own address as
/// `host`.
#[track_caller]
pub(crate) fn switch(admin: SocketAddr, what: &str, target: &str) {
    let body = serde_json::json!({ "target": target, "reason": "a test" }).to_string();
    let request = format!(
        "POST /api/v1/{what} HTTP/1.1\r\nhost: {admin}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = Connection::open(admin);
    connection.send(request.as_bytes());
    let answer = connection.answer("POST");
    assert_eq!(answer.status, 200, "{what} {target}: {}", answer.text());
}
