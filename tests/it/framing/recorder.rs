//! A provider for many callers at once: answers whatever it can read at once, and keeps what it read by the case's own mark.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One request that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    /// Method and target.
    pub(super) line: String,
    /// Name (in lower case) and value of each field.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// It was not framed in a way that has one meaning.
    pub(super) odd: Option<&'static str>,
}

#[derive(Clone)]
pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    arrived: Arc<Mutex<HashMap<String, Vec<Arrived>>>>,
}

impl Recorder {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let recorder = Self { address: listener.local_addr().unwrap(), arrived: Arc::default() };
        let arrived = Arc::clone(&recorder.arrived);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let arrived = Arc::clone(&arrived);
                thread::spawn(move || serve(stream, &arrived));
            }
        });
        recorder
    }

    /// What arrived whole of the case with this mark in its paths.
    pub(super) fn of(&self, mark: &str) -> Vec<Arrived> {
        self.arrived.lock().unwrap().get(mark).cloned().unwrap_or_default()
    }

    /// Everything that arrived without a mark: nobody sent that on purpose.
    pub(super) fn unmarked(&self) -> Vec<Arrived> {
        self.of("")
    }
}

/// The mark is the segment behind `/m-`.
fn mark(line: &str) -> String {
    let behind = line.split("/m-").nth(1).unwrap_or_default();
    behind.chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn serve(mut stream: TcpStream, arrived: &Mutex<HashMap<String, Vec<Arrived>>>) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut unread = Vec::new();
    while let Some(request) = next(&mut stream, &mut unread) {
        let (odd, head_only) = (request.odd, request.line.starts_with("HEAD "));
        arrived.lock().unwrap().entry(mark(&request.line)).or_default().push(request);
        let body = if head_only { "" } else { r#"{"ok":true}"# };
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{body}");
        if odd.is_some() || stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn fill(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16_384];
    let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
    unread.extend_from_slice(&piece[..count]);
    Some(())
}

fn line(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = memchr::memmem::find(unread, b"\r\n") {
            let line = unread.drain(..at + 2).take(at).collect();
            return Some(line);
        }
        fill(stream, unread)?;
    }
}

fn exactly(stream: &mut TcpStream, unread: &mut Vec<u8>, count: usize) -> Option<Vec<u8>> {
    while unread.len() < count {
        fill(stream, unread)?;
    }
    Some(unread.drain(..count).collect())
}

/// The next whole request, read strictly; what is odd about it is said.
fn next(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Arrived> {
    let first = line(stream, unread)?;
    let mut odd = first.iter().any(|byte| !(b' '..=b'~').contains(byte)).then_some("its first line");
    let first = String::from_utf8_lossy(&first).into_owned();
    let words: Vec<&str> = first.split(' ').collect();
    if words.len() != 3 || words[2] != "HTTP/1.1" {
        odd = Some("its first line");
    }
    let mut fields = Vec::new();
    loop {
        let line = line(stream, unread)?;
        if line.is_empty() {
            break;
        }
        if line.iter().any(|byte| *byte < b' ' && *byte != b'\t') {
            odd = Some("a control character");
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        match text.split_once(':') {
            Some((name, value)) if !name.is_empty() && !name.contains([' ', '\t']) => {
                fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            _ => odd = Some("a line that is no field"),
        }
    }
    let values = |name: &str| -> Vec<String> {
        fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    if values("host").len() != 1 {
        odd = Some("its hosts");
    }
    let body = match (&lengths[..], &codings[..]) {
        ([], []) => Some(Vec::new()),
        ([length], []) => match length.parse() {
            Ok(length) => exactly(stream, unread, length),
            Err(_) => {
                return Some(Arrived { line: first, fields, body: Vec::new(), odd: Some("its length") });
            }
        },
        ([], [coding]) if coding == "chunked" => chunks(stream, unread),
        _ => return Some(Arrived { line: first, fields, body: Vec::new(), odd: Some("its framing") }),
    }?;
    Some(Arrived { line: words.get(..2).unwrap_or_default().join(" "), fields, body, odd })
}

fn chunks(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = String::from_utf8(line(stream, unread)?).ok()?;
        let size = usize::from_str_radix(&size, 16).ok()?;
        if size == 0 {
            while !line(stream, unread)?.is_empty() {}
            return Some(body);
        }
        body.extend_from_slice(&exactly(stream, unread, size)?);
        exactly(stream, unread, 2).filter(|end| end == b"\r\n")?;
    }
}
