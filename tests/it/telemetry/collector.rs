//! A collector that decodes with OpenTelemetry's own definitions, and the spans that it got.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::clients::{clients, root};
use crate::harness::wait_until;

/// A running collector. Ends with the test.
pub(super) struct Collector {
    child: Child,
    port: u16,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    pub(super) fn start() -> Self {
        let mut child = Command::new(clients().join("venv/bin/python"))
            .arg(root().join("tests/clients/python/otlp_receiver.py"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut said = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let port = said.next().and_then(|port| port.parse().ok()).expect("a port");
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in said {
                kept.lock().expect("a lock").push(serde_json::from_str(&line).expect("JSON"));
            }
        });
        Self { child, port, lines }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All that it got, as soon as there are so many.
    #[track_caller]
    pub(super) fn spans(&self, count: usize) -> Spans {
        let got = || self.lines.lock().expect("a lock").clone();
        wait_until("the collector has the spans", || got().len() >= count);
        let all = got();
        assert!(all.iter().all(|line| line["refused"].is_null()), "{all:#?}");
        assert_eq!(all.len(), count, "{all:#?}");
        Spans(all)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Spans, as they came.
pub(super) struct Spans(Vec<Value>);

impl Spans {
    /// Those of requests, by when they began.
    pub(super) fn roots(&self) -> Vec<&Value> {
        self.of_kind("SPAN_KIND_SERVER")
    }

    /// Those of tries, by when they began.
    pub(super) fn clients(&self) -> Vec<&Value> {
        self.of_kind("SPAN_KIND_CLIENT")
    }

    fn of_kind(&self, kind: &str) -> Vec<&Value> {
        let mut found: Vec<&Value> = self.0.iter().filter(|span| span["kind"] == kind).collect();
        found.sort_by_key(|span| span["start"].as_u64());
        found
    }

    /// What was done for a request, by when it began.
    pub(super) fn below(&self, parent: &Value) -> Vec<&Value> {
        let is_below = |span: &&Value| span["parent"] == parent["span"] && span["trace"] == parent["trace"];
        self.clients().into_iter().filter(is_below).collect()
    }

    /// The one with this attribute.
    #[track_caller]
    pub(super) fn of(&self, key: &str, value: impl Into<Value>) -> &Value {
        let value = value.into();
        let found: Vec<&Value> = self.0.iter().filter(|span| span["attributes"][key] == value).collect();
        assert_eq!(found.len(), 1, "{key} = {value}: {:#?}", self.0);
        found[0]
    }
}

/// What a span's work is told.
pub(super) fn traceparent(span: &Value) -> String {
    let text = |key: &str| span[key].as_str().expect("an id").to_owned();
    format!("00-{}-{}-01", text("trace"), text("span"))
}
