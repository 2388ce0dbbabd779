//! What a caller feels of a shadow whose candidate hangs: the ratio of its median and 99th percentile to those without a shadow.
//!
//! Run with `make bench-shadow`. Both routes are served by one process, in turn, so that what else the machine does falls on both. All
//! requests are copied; the candidate takes every connection and never says a word. The caller's own provider answers after 50 ms:
//! language models are slower. Callers and provider are in this process and want the processors too, so there are few of them.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for people, which ends where it cannot measure"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How many times both routes are measured.
const PAIRS: usize = 10;
const CALLERS: usize = 8;
/// Of each caller in each run.
const REQUESTS: usize = 125;
const THINKING: Duration = Duration::from_millis(50);
/// A shadow may cost a caller so much.
const MOST: f64 = 1.05;

const ANSWER: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;

fn main() -> ExitCode {
    let (provider, candidate) = (provider(), hangs());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.toml");
    let routes = ["plain", "shadowed"];
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [providers.p]\ndialect = \"openai\"\nbase_url = \"http://{provider}/v1\"\n\
         [providers.c]\ndialect = \"openai\"\nbase_url = \"http://{candidate}/v1\"\n\
         [models.m]\nprovider = \"p\"\n[models.new]\nprovider = \"c\"\n\
         [routes.plain]\npath = \"/plain\"\nprovider = \"p\"\nmodel = \"m\"\n\
         [routes.shadowed]\npath = \"/shadowed\"\nprovider = \"p\"\nmodel = \"m\"\n\
         [[routes.shadowed.shadow]]\nname = \"s\"\nmodel = \"new\"\npercent = 100\n"
    );
    std::fs::write(&file, text).unwrap();
    let (mut dimmer, data) = serve(&file);
    for route in routes {
        run(data, route);
    }
    let mut ratios = [Vec::new(), Vec::new()];
    println!("pair   median without, with      p99 without, with");
    for pair in 0..PAIRS {
        // Who is first may matter.
        let order = if pair % 2 == 0 { routes } else { ["shadowed", "plain"] };
        let mut measured = order.map(|route| (route, run(data, route)));
        measured.sort_by_key(|(route, _)| *route);
        let [(_, plain), (_, shadowed)] = measured;
        println!("{pair:>4}   {:?}, {:?}   {:?}, {:?}", plain.0, shadowed.0, plain.1, shadowed.1);
        ratios[0].push(shadowed.0.as_secs_f64() / plain.0.as_secs_f64());
        ratios[1].push(shadowed.1.as_secs_f64() / plain.1.as_secs_f64());
    }
    let _gone = dimmer.kill();
    let _reaped = dimmer.wait();
    let mut good = true;
    for (name, mut ratios) in ["median", "p99"].into_iter().zip(ratios) {
        ratios.sort_by(f64::total_cmp);
        let at = |place: usize| ratios.get(place).copied().unwrap_or(f64::NAN);
        let middle = f64::midpoint(at(PAIRS / 2 - 1), at(PAIRS / 2));
        good &= middle <= MOST;
        println!("{name}: with a shadow {middle:.3} of without ({:.3} to {:.3})", at(0), at(PAIRS - 1));
    }
    println!("{}", if good { "within 5 %" } else { "NOT within 5 %" });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Median and 99th percentile of one run.
fn run(to: SocketAddr, route: &'static str) -> (Duration, Duration) {
    let callers: Vec<_> = (0..CALLERS).map(|_| thread::spawn(move || call(to, route))).collect();
    let mut times: Vec<Duration> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
    times.sort_unstable();
    let at = |place: usize| times.get(place).copied().unwrap_or_default();
    (at(times.len() / 2), at(times.len() * 99 / 100))
}

fn call(to: SocketAddr, route: &str) -> Vec<Duration> {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Say hello."}]}"#;
    let request = format!(
        "POST /{route}/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = BufReader::new(TcpStream::connect(to).unwrap());
    stream.get_ref().set_nodelay(true).unwrap();
    (0..REQUESTS)
        .map(|_| {
            let begun = Instant::now();
            stream.get_mut().write_all(request.as_bytes()).unwrap();
            let answer = message(&mut stream).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            begun.elapsed()
        })
        .collect()
}

/// Reads a message with a length to its end; gives its first line. `None`: nobody is there any more.
fn message(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            stream.read_exact(&mut vec![0; length]).ok()?;
            return Some(first);
        }
        if first.is_empty() {
            first = line;
        }
    }
}

fn provider() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut stream = BufReader::new(stream);
                while message(&mut stream).is_some() {
                    thread::sleep(THINKING);
                    if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn hangs() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().map_while(Result::ok).collect::<Vec<_>>());
    address
}

fn serve(file: &std::path::Path) -> (Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dimmer"))
        .args(["serve", "--config"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.trim_start().starts_with("data")).unwrap();
    let data = line.split_once("://").unwrap().1.trim().parse().unwrap();
    // What it says later is for nobody.
    thread::spawn(move || lines.for_each(drop));
    (child, data)
}
