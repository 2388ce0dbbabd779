//! What is kept of a request: exactly one exposure each, however it ends, in every API, whole and streamed.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::harness::{Answer, Connection, Dimmer, explained, listeners, request, switch, wait_until};
use crate::limits::{refused, waits};
use crate::upstreams::{
    After, Api, STREAM_HEAD, Upstream, answers_status, answers_well, chunk, hangs_before_head, json as whole,
    refuses_connections,
};

/// A configuration whose routes each have a flag for their model.
struct World {
    api: Api,
    config: String,
}

impl World {
    fn new(api: Api) -> Self {
        let mut config = listeners("");
        config += "[context]\ntargeting_key = [\"header:x-user-id\"]\nconversation = [\"header:x-session-id\", \"auto\"]\n\
                   [feedback.thumbs]\nbetter = \"higher\"\n[replies.sorry]\ntext = \"Not now, sorry.\"\n";
        Self { api, config }
    }

    /// A provider with a model of the same name.
    fn model(mut self, name: &str, upstream: &Upstream) -> Self {
        let (dialect, base_url) = (self.api.dialect(), self.api.base_url(upstream.address));
        let _ = write!(
            self.config,
            "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"{base_url}\"\nretries.attempts = 0\n\
             [models.{name}]\nprovider = \"{name}\"\nupstream_model = \"m-1\"\nprice = {{ input = 1, output = 2 }}\n"
        );
        self
    }

    /// A route of this name whose flag gives everybody `serve`.
    fn route(mut self, name: &str, serve: &str, lines: &str) -> Self {
        let _ = write!(
            self.config,
            "[flags.{name}]\nowner = \"o\"\npermanent = true\ndefault = \"good\"\n\
             [[flags.{name}.rules]]\nname = \"all\"\nsplit = {{ \"{serve}\" = 100 }}\n\
             [routes.{name}]\npath = \"/{name}\"\nprovider = \"good\"\nmodel.flag = \"{name}\"\n{lines}\n"
        );
        self
    }

    fn ask(&self, dimmer: &Dimmer, route: &str, stream: bool) -> Answer {
        let path = format!("/{route}{}", self.api.path());
        request(dimmer.data, "POST", &path, HEADERS, self.api.ask(stream).as_bytes())
    }
}

const HEADERS: &str = "content-type: application/json\r\nx-user-id: olivia\r\nx-session-id: s-1\r\n";

/// What the record says of a request, by dimmer's id or the answer's.
fn told(dimmer: &Dimmer, id: &str) -> Value {
    let mut answer = None;
    wait_until("the request is in the record", || {
        let found = explained(dimmer.admin, id);
        let there = found.status == 200;
        answer = there.then(|| found.json());
        there
    });
    answer.unwrap()
}

fn of(dimmer: &Dimmer, answer: &Answer) -> Value {
    told(dimmer, answer.header("x-dimmer-request-id").unwrap())
}

/// How many were written so far.
fn written(dimmer: &Dimmer) -> f64 {
    dimmer.metrics().metric("dimmer_records_total", &[("result", "written")])
}

#[test]
fn every_api_whole_and_streamed() {
    for api in Api::ALL {
        let world = World::new(api).model("good", &answers_well(api)).route("ok", "good", "");
        let dimmer = Dimmer::start(&world.config);
        for stream in [false, true] {
            let answer = world.ask(&dimmer, "ok", stream);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let told = of(&dimmer, &answer);
            let expected = json!({
                "route": "ok", "model": "good", "reply": null, "outcome": "ok", "status": 200, "tries": 1,
                "stream": stream, "provider": "good", "answered": "m-1", "asked": "good", "fallback": null,
                "cause": null,
            });
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(&told[name], value, "{api:?} {stream}: {name} of {told:#}");
            }
            let (chars, words) = match (api, stream) {
                (Api::Completions, _) | (_, false) => (11, 2),
                _ => (5, 1),
            };
            assert_eq!(
                (&told["output_chars"], &told["output_words"]),
                (&json!(chars), &json!(words)),
                "{told:#}"
            );
            // A chat stream tells its usage where it is asked for, and this provider never does.
            let usage = !stream || matches!(api, Api::Messages | Api::Responses);
            match usage {
                true => assert!((told["cost_usd"].as_f64().unwrap() - 13e-6).abs() < 1e-12, "{told:#}"),
                false => assert_eq!(told["cost_usd"], Value::Null, "{told:#}"),
            }
            assert_eq!(told["first_token_ms"].is_number(), stream, "{told:#}");
            assert!(told["took_ms"].as_f64().unwrap() > 0.0);
            let user = told["user"].as_str().unwrap();
            assert!(!user.is_empty() && user != "olivia", "{user}");
            let flag = &told["flags"][0];
            for (name, value) in [
                ("flag", json!("ok")),
                ("variant", json!("good")),
                ("rule", json!("all")),
                ("reason", json!("SPLIT")),
                ("tried", json!(true)),
                ("outcome", json!("ok")),
                ("unit", json!(user)),
            ] {
                assert_eq!(flag[name], value, "{name} of {told:#}");
            }
        }
        // Every answer has the same id here: the last one is told.
        let id = api.whole().split('"').nth(3).unwrap();
        assert_eq!(told(&dimmer, id)["answer_id"], id);
        assert_eq!(written(&dimmer), 2.0, "one for each request");
        assert_eq!(dimmer.metrics().metric("dimmer_variant_unique_users", &[("flag", "ok")]), 1.0);
        assert_eq!(dimmer.metrics().metric("dimmer_route_unique_users", &[("served", "model")]), 1.0);
    }
}

#[test]
fn a_rescue_is_an_error_of_what_was_chosen() {
    for api in Api::ALL {
        let world = World::new(api)
            .model("good", &answers_well(api))
            .model("failing", &answers_status(api, "500 Internal Server Error", ""))
            .model("gone", &refuses_connections())
            .route("failing", "failing", "fallback = [\"good\"]")
            .route("gone", "gone", "fallback = [\"sorry\"]");
        let dimmer = Dimmer::start(&world.config);
        for stream in [false, true] {
            let told = of(&dimmer, &world.ask(&dimmer, "failing", stream));
            assert_eq!(
                (&told["outcome"], &told["model"], &told["fallback"], &told["tries"]),
                (&json!("ok"), &json!("good"), &json!("upstream_error"), &json!(2)),
                "{told:#}"
            );
            assert!(told["output_chars"].is_number());
            let flag = &told["flags"][0];
            assert_eq!(
                (&flag["variant"], &flag["outcome"], &flag["tried"]),
                (&json!("failing"), &json!("upstream_error"), &json!(true)),
                "{told:#}"
            );
            let answer = world.ask(&dimmer, "gone", stream);
            let told = of(&dimmer, &answer);
            assert_eq!(
                (&told["outcome"], &told["reply"], &told["status"], &told["cost_usd"]),
                (&json!("reply"), &json!("sorry"), &json!(200), &json!(0.0)),
                "{told:#}"
            );
            assert_eq!(told["flags"][0]["outcome"], "upstream_error");
            let id = told["answer_id"].as_str().unwrap();
            assert!(answer.text().contains(id), "{id} in {}", answer.text());
        }
        assert_eq!(written(&dimmer), 4.0);
        let failed = [("flag", "failing"), ("variant", "failing"), ("outcome", "upstream_error")];
        assert_eq!(dimmer.metrics().metric("dimmer_variant_requests_total", &failed), 2.0);
        let lengths = dimmer.metrics().metric("dimmer_variant_output_chars_count", &[("flag", "failing")]);
        assert_eq!(lengths, 0.0, "the rescue's answer is not the variant's");
    }
}

#[test]
fn what_is_killed_was_not_tried_and_what_is_refused_is_kept() {
    let api = Api::Chat;
    let world = World::new(api)
        .model("good", &answers_well(api))
        .model("other", &answers_well(api))
        .route("killed", "other", "")
        .route("narrow", "as_sent", "models = [\"good\"]");
    let dimmer = Dimmer::start(&world.config);
    switch(dimmer.admin, "kill", "flag:killed/other");
    let told = of(&dimmer, &world.ask(&dimmer, "killed", false));
    assert_eq!((&told["model"], &told["fallback"]), (&json!("good"), &json!("killed")), "{told:#}");
    let flag = &told["flags"][0];
    assert_eq!(
        (&flag["variant"], &flag["served"], &flag["tried"], &flag["outcome"]),
        (&json!("other"), &json!("good"), &json!(false), &json!("not_tried")),
        "{told:#}"
    );
    switch(dimmer.admin, "kill", "route:killed");
    let told = of(&dimmer, &world.ask(&dimmer, "killed", false));
    assert_eq!(
        (&told["status"], &told["cause"], &told["flags"], &told["tries"]),
        (&json!(503), &json!("dimmer_kill_switch"), &json!([]), &json!(0)),
        "{told:#}"
    );
    let body = api.ask(false).replace("m-1", "other");
    let answer = request(dimmer.data, "POST", "/narrow/v1/chat/completions", HEADERS, body.as_bytes());
    let told = of(&dimmer, &answer);
    assert_eq!(
        (&told["status"], &told["outcome"], &told["asked"], &told["model"]),
        (&json!(404), &json!("caller_error"), &json!("other"), &Value::Null),
        "{told:#}"
    );
    // Nothing is kept of what is no generation.
    let lists = request(dimmer.data, "GET", "/killed/v1/models", HEADERS, b"");
    assert_ne!(lists.status, 0);
    let told = of(&dimmer, &world.ask(&dimmer, "narrow", true));
    assert_eq!(told["outcome"], "ok", "{told:#}");
    assert_eq!(written(&dimmer), 4.0);
}

#[test]
fn callers_that_hang_up_and_answers_that_are_cut() {
    let api = Api::Messages;
    let cut = Upstream::new(move |peer, _| {
        let mut bytes = STREAM_HEAD.as_bytes().to_vec();
        api.events()[..3].iter().for_each(|event| bytes.extend(chunk(event)));
        peer.then(bytes, After::Close)
    });
    let hanging = hangs_before_head();
    let world = World::new(api)
        .model("good", &answers_well(api))
        .model("cut", &cut)
        .model("hanging", &hanging)
        .route("cut", "cut", "")
        .route("hanging", "hanging", "");
    let dimmer = Dimmer::start(&world.config);
    let told = of(&dimmer, &world.ask(&dimmer, "cut", true));
    assert_eq!(
        (&told["outcome"], &told["cost_usd"], &told["output_chars"], &told["status"]),
        (&json!("cut"), &Value::Null, &Value::Null, &json!(200)),
        "{told:#}"
    );
    assert_eq!(told["flags"][0]["outcome"], "cut");
    let mut leaves = Connection::open(dimmer.data);
    let path = format!("/hanging{}", api.path());
    leaves.send_request("POST", &path, HEADERS, api.ask(true).as_bytes());
    hanging.wait_requests(1);
    drop(leaves);
    wait_until("the hang-up is in the record", || written(&dimmer) >= 2.0);
    assert_eq!(written(&dimmer), 2.0);
}

#[test]
fn what_a_drain_finishes_is_kept_with_what_was_said_before_it_ended() {
    let (upstream, answer_now) = waits();
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(Api::Chat).model("good", &upstream).route("ok", "good", "");
    let _ = write!(world.config, "[records]\nurl = \"sqlite:{}/records.db\"\n", folder.path().display());
    let mut dimmer = Dimmer::start(&world.config);
    let mut caller = Connection::open(dimmer.data);
    let path = format!("/ok{}", Api::Chat.path());
    caller.send_request("POST", &path, HEADERS, Api::Chat.ask(true).as_bytes());
    let head = caller.head();
    let id = head.header("x-dimmer-request-id").unwrap().to_owned();
    let early = json!({ "request_id": id, "name": "thumbs", "value": true }).to_string();
    let said = request(dimmer.data, "POST", "/dimmer/v1/feedback", HEADERS, early.as_bytes());
    assert_eq!((said.status, said.json()), (200, json!({ "durable": true })), "{}", said.text());
    let data = dimmer.data;
    dimmer.send_terminate();
    wait_until("new callers are refused", || refused(data));
    answer_now.send(()).unwrap();
    let (_, whole) = caller.body(head.framing("POST"));
    assert!(whole, "the drain lets it end");
    assert_eq!(dimmer.wait_exit().code(), Some(0));
    let later = Dimmer::start(&world.config);
    let told = told(&later, &id);
    assert_eq!([&told["outcome"], &told["feedback"][0]["value"]], [&json!("ok"), &json!(1.0)], "{told:#}");
}

#[test]
fn who_is_pinned_apart_from_a_fresh_draw_is_marked() {
    let world =
        World::new(Api::Chat).model("good", &answers_well(Api::Chat)).model("new", &answers_well(Api::Chat));
    let world = world.route("pinned", "good", "pin = \"conversation\"");
    let nearly = |good: &str, new: &str| {
        world.config.replace("{ \"good\" = 100 }", &format!("{{ good = {good}, new = {new} }}"))
    };
    let dimmer = Dimmer::start(&nearly("99.9999", "0.0001"));
    let before = of(&dimmer, &world.ask(&dimmer, "pinned", false));
    assert_eq!(
        [&before["flags"][0]["variant"], &before["flags"][0]["pinned_apart"]],
        [&json!("good"), &json!(false)],
        "{before:#}"
    );
    dimmer.reload_and_wait(&nearly("0.0001", "99.9999"));
    let after = of(&dimmer, &world.ask(&dimmer, "pinned", false));
    assert_eq!(
        [&after["flags"][0]["variant"], &after["flags"][0]["pinned_apart"]],
        [&json!("good"), &json!(true)],
        "{after:#}"
    );
}

#[test]
fn embeddings_are_priced_and_leave_no_exposure() {
    let body = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,0.2]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":1000,"total_tokens":1000}}"#;
    let upstream = Upstream::new(move |peer, _| peer.then(whole("200 OK", body), After::KeepAlive));
    let world = World::new(Api::Chat).model("good", &upstream);
    let config = world.config + "[routes.default]\nprovider = \"good\"\n";
    let dimmer = Dimmer::start(&config);
    for (model, label, cost) in [("good", "good", 1e-3), ("text-embedding-3-small", "other", 2e-5)] {
        let ask = json!({ "model": model, "input": "a" }).to_string();
        let answer = request(dimmer.data, "POST", "/v1/embeddings", HEADERS, ask.as_bytes());
        assert_eq!((answer.status, answer.text().as_str()), (200, body));
        let labels = [("model", label)];
        wait_until("its tokens are counted", || {
            dimmer.metrics().metric("dimmer_tokens_total", &labels) == 1000.0
        });
        let counted = dimmer.metrics().metric("dimmer_cost_usd_total", &labels);
        assert!((counted - cost).abs() < 1e-9, "{model}: {counted}");
    }
    assert_eq!(written(&dimmer), 0.0);
}

/// What is kept of a request's bodies: part, bytes, whether there was more.
fn bodies(dimmer: &Dimmer, id: &str) -> Vec<(String, Vec<u8>, bool)> {
    let file = rusqlite::Connection::open(dimmer.folder().join("records.db")).unwrap();
    let mut ask =
        file.prepare("SELECT part, bytes, cut FROM bodies WHERE request_id = ? ORDER BY part DESC").unwrap();
    let rows = ask.query_map([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn bodies_are_kept_only_where_the_operator_wants_all_of_them() {
    for api in Api::ALL {
        for (line, most) in
            [("", 0), ("bodies = \"all\"", 65_536), ("bodies = \"all\"\nbody_max = \"16B\"", 16)]
        {
            let mut world = World::new(api).model("good", &answers_well(api)).route("ok", "good", "");
            world.config += &format!("[records]\n{line}\n");
            let dimmer = Dimmer::start(&world.config);
            for stream in [false, true] {
                let answer = world.ask(&dimmer, "ok", stream);
                let id = answer.header("x-dimmer-request-id").unwrap();
                of(&dimmer, &answer);
                let kept = |whole: &[u8]| (whole[..whole.len().min(most)].to_vec(), whole.len() > most);
                let (asked, asked_more) = kept(api.ask(stream).as_bytes());
                let (said, said_more) = kept(&answer.body);
                let expected = [("request", asked, asked_more), ("answer", said, said_more)];
                let expected: Vec<_> =
                    expected.into_iter().map(|(part, bytes, cut)| (part.to_owned(), bytes, cut)).collect();
                if most == 0 {
                    assert_eq!(bodies(&dimmer, id), [], "{api:?} {stream}");
                } else {
                    wait_until("both are written", || bodies(&dimmer, id).len() == 2);
                    assert_eq!(bodies(&dimmer, id), expected, "{api:?} {stream} {line}");
                }
            }
        }
    }
}
