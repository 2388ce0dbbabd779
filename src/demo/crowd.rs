//! The callers: some hundred users with tiers and regions, each with an app of their own, and what they ask.

use bytes::Bytes;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::world::{DESK, ROUTE};

/// How many there are.
pub(super) const USERS: u64 = 300;

/// Whose API an app speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Chat,
    Responses,
    Messages,
}

/// One call, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Whose feature.
    pub(super) route: &'static str,
    pub(super) api: Api,
    pub(super) stream: bool,
    /// Who asks.
    pub(super) user: String,
    pub(super) tier: &'static str,
    pub(super) region: &'static str,
    pub(super) body: Bytes,
    /// Says afterwards what they think of the answer, if that is not too long.
    pub(super) says: bool,
}

impl Api {
    /// Behind the route's path.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }

    /// What stands in a stream that is whole.
    pub(super) fn end(self) -> &'static str {
        match self {
            Self::Chat => "data: [DONE]",
            Self::Responses => "\"response.completed\"",
            Self::Messages => "\"message_stop\"",
        }
    }
}

/// The call of this number: the same in every run.
pub(super) fn call(number: u64) -> Call {
    let user = draw("user", number) % USERS;
    let (route, api, stream) = match draw("route", number) % 100 {
        0..70 => {
            let (api, stream) = app(user);
            (ROUTE, api, stream)
        }
        70..85 => (DESK, Api::Messages, number.is_multiple_of(2)),
        _ => ("summaries", Api::Responses, false),
    };
    Call {
        route,
        api,
        stream,
        user: format!("user-{user:03}"),
        tier: tier(user),
        region: region(user),
        body: Bytes::from(body(api, stream, &question(number)).to_string()),
        says: draw("says", number).is_multiple_of(10),
    }
}

fn app(user: u64) -> (Api, bool) {
    match draw("app", user) % 10 {
        0..4 => (Api::Chat, true),
        4..6 => (Api::Chat, false),
        6..8 => (Api::Responses, true),
        _ => (Api::Messages, true),
    }
}

fn tier(user: u64) -> &'static str {
    match draw("tier", user) % 10 {
        0..6 => "free",
        6..9 => "pro",
        _ => "enterprise",
    }
}

fn region(user: u64) -> &'static str {
    match draw("region", user) % 10 {
        0..3 => "eu-west",
        3..5 => "eu-north",
        5..8 => "us-east",
        _ => "ap-south",
    }
}

/// Equal requests would get equal answers: each question is another one.
fn question(number: u64) -> String {
    let of = |purpose: &str, from: &[&'static str]| -> &'static str {
        let place = usize::try_from(draw(purpose, number)).unwrap_or_default() % from.len().max(1);
        from.get(place).copied().unwrap_or_default()
    };
    format!("{} {}? (ticket {number})", of("begins", &BEGINNINGS), of("about", &TOPICS))
}

fn body(api: Api, stream: bool, question: &str) -> Value {
    match api {
        Api::Chat => {
            json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": question}]})
        }
        Api::Responses => json!({"model": "gpt-4o", "stream": stream, "store": false, "input": question}),
        Api::Messages => json!({
            "model": "claude-haiku-4-5", "stream": stream, "max_tokens": 4096,
            "messages": [{"role": "user", "content": question}],
        }),
    }
}

/// A number drawn for one purpose.
fn draw(purpose: &str, number: u64) -> u64 {
    xxh3_64_with_seed(purpose.as_bytes(), number)
}

const BEGINNINGS: [&str; 6] = [
    "How do I begin with",
    "What is the best way to think about",
    "Can you explain",
    "What goes wrong most often with",
    "How do I test",
    "Who should look after",
];

const TOPICS: [&str; 10] = [
    "a migration of a large table",
    "feature flags in a small team",
    "the rollback of a release",
    "a rate limit for an API",
    "long release notes",
    "the budget of a project",
    "an incident at night",
    "retries between two services",
    "names for environments",
    "the first week of a new colleague",
];
