//! From each API to a provider of the other dialect and back: what arrives there, what comes back, and what becomes of every fault on the
//! way. The caller sees its own API only, whoever answers.

mod answers;
mod faults;
mod requests;
mod served;

use std::fmt::Write;

use serde_json::Value;

use crate::harness::{Answer, Connection, Dimmer, listeners, request};
use crate::upstreams::{Api, Upstream};

/// Whose API the caller speaks, and whose the provider.
pub(crate) type Pair = (Api, Api);

/// All that are translated.
pub(crate) const PAIRS: [Pair; 3] =
    [(Api::Chat, Api::Messages), (Api::Responses, Api::Messages), (Api::Messages, Api::Chat)];

/// A gateway's configuration, in the making.
pub(crate) struct World {
    pub(crate) api: Api,
    pub(crate) config: String,
}

impl World {
    /// For callers of this API.
    pub(crate) fn new(api: Api) -> Self {
        let config = listeners("") + "[replies.sorry]\ntext = \"Resting.\"\n";
        Self { api, config }
    }

    /// A provider of this name that speaks `api`, and a model `m-NAME` there.
    pub(crate) fn model(
        &mut self,
        name: &str,
        api: Api,
        upstream: &Upstream,
        of_provider: &str,
        of_model: &str,
    ) {
        let (dialect, base_url) = (api.dialect(), api.base_url(upstream.address));
        let _ = write!(
            self.config,
            "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"{base_url}\"\napi_key = \"${{TEST_KEY}}\"\n\
             retries.attempts = 0\n{of_provider}\n[models.{name}]\nprovider = \"{name}\"\nupstream_model = \"m-{name}\"\n{of_model}\n"
        );
    }

    /// A route of this name, at the path of this name.
    pub(crate) fn route(&mut self, name: &str, lines: &str) {
        let provider = if lines.contains("provider =") { "" } else { "provider = \"far\"\n" };
        let _ = writeln!(self.config, "[routes.{name}]\npath = \"/{name}\"\n{provider}{lines}");
    }

    /// More lines.
    pub(crate) fn more(&mut self, lines: &str) {
        self.config += lines;
    }

    pub(crate) fn start(&self) -> Dimmer {
        Dimmer::start(&self.config)
    }

    pub(crate) fn ask(&self, dimmer: &Dimmer, route: &str, stream: bool) -> Answer {
        self.post(dimmer, route, "", &self.api.ask(stream))
    }

    pub(crate) fn post(&self, dimmer: &Dimmer, route: &str, headers: &str, body: &str) -> Answer {
        let headers = format!("content-type: application/json\r\n{headers}");
        let path = format!("/{route}{}", self.api.path());
        request(dimmer.data, "POST", &path, &headers, body.as_bytes())
    }

    pub(crate) fn open(&self, dimmer: &Dimmer, route: &str, stream: bool) -> Connection {
        let mut connection = Connection::open(dimmer.data);
        let path = format!("/{route}{}", self.api.path());
        let headers = "content-type: application/json\r\n";
        connection.send_request("POST", &path, headers, self.api.ask(stream).as_bytes());
        connection
    }
}

/// One provider of the other dialect and a route `r` that asks it.
pub(crate) fn far((api, spoken): Pair, upstream: &Upstream, of_provider: &str) -> (World, Dimmer) {
    let mut world = World::new(api);
    world.model("far", spoken, upstream, of_provider, "");
    world.route("r", "model = \"far\"");
    let dimmer = world.start();
    (world, dimmer)
}

/// The text of a whole answer.
pub(crate) fn text(api: Api, answer: &Value) -> String {
    let found = match api {
        Api::Chat => answer.pointer("/choices/0/message/content"),
        Api::Messages => answer.pointer("/content/0/text"),
        Api::Responses => {
            let items = answer["output"].as_array().unwrap();
            items
                .iter()
                .find(|item| item["type"] == "message")
                .and_then(|item| item.pointer("/content/0/text"))
        }
        Api::Completions => None,
    };
    found.and_then(Value::as_str).unwrap_or_else(|| panic!("{api:?}: {answer}")).to_owned()
}

/// The data of a stream's events, the `[DONE]` of Chat Completions left out.
pub(crate) fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))).collect()
}

/// The text of a stream.
pub(crate) fn streamed_text(api: Api, stream: &str) -> String {
    let delta = |event: &Value| match api {
        Api::Chat => event.pointer("/choices/0/delta/content").cloned(),
        Api::Messages => event.pointer("/delta/text").cloned(),
        Api::Responses => (event["type"] == "response.output_text.delta").then(|| event["delta"].clone()),
        Api::Completions => None,
    };
    events(stream).iter().filter_map(delta).filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// Whether a stream says that it is complete.
pub(crate) fn has_end(api: Api, stream: &str) -> bool {
    match api {
        Api::Chat | Api::Completions => stream.contains("data: [DONE]"),
        Api::Messages => stream.contains("event: message_stop"),
        Api::Responses => stream.contains("event: response.completed"),
    }
}

/// The body of a request as JSON.
pub(crate) fn body(upstream: &Upstream) -> Value {
    serde_json::from_slice(&upstream.last().body).unwrap()
}
