//! Who calls and for whom: client keys, whose word is believed, attributes and the targeting key, and what of all this
//! stays in the house.
//!
//! What the gateway understood is seen at the provider: the system prompt is a template that spells it out.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::harness::{Answer, Dimmer, TEST_KEY, listeners, request};
use crate::upstreams::{Api, Upstream, answers_well};

const CONTEXT: &str = r#"
[context.attributes]
plan = { from = "header:x-plan" }
tier = { from = "header:x-user-tier", order = ["free", "pro", "enterprise"] }
beta = { from = "header:x-user-beta", type = "bool" }
age  = { from = "header:x-account-age-days", type = "number" }
team = { from = "body:metadata.team" }
seats = { from = "body:metadata.seats", type = "number" }
[prompts.seen]
text = """key={{ targeting_key or '-' }} plan={{ plan or '-' }} tier={{ tier or '-' }} \
beta={{ '-' if beta is undefined else ('true' if beta else 'false') }} age={{ '-' if age is undefined else ('under30' if age < 30 else '30up') }} \
team={{ team or '-' }} seats={{ '-' if seats is undefined else ('2.5' if seats == 2.5 else 'other') }}"""
"#;

/// Two providers, one route that speaks of the context and one that is bare, and whatever the test adds.
struct World {
    dimmer: Dimmer,
    chat: Upstream,
    messages: Upstream,
}

impl World {
    fn start(more: &str) -> Self {
        Self::start_with(more, "")
    }

    /// `forward` goes into both providers.
    fn start_with(more: &str, forward: &str) -> Self {
        let (chat, messages) = (answers_well(Api::Chat), answers_well(Api::Messages));
        let provider = |name: &str, api: Api, upstream: &Upstream| {
            format!(
                "[providers.{name}]\ndialect = \"{}\"\nbase_url = \"{}\"\napi_key = \"${{TEST_KEY}}\"\n{forward}",
                api.dialect(),
                api.base_url(upstream.address)
            )
        };
        let routes = "[flags.leave]\nowner = \"o\"\npermanent = true\ndefault = \"declared\"\n\
                      [models.declared]\nprovider = \"chat\"\n\
                      [routes.r]\npath = \"/r\"\nsystem_prompt = \"seen\"\n\
                      [routes.chosen]\npath = \"/chosen\"\nmodel.flag = \"leave\"\n\
                      [routes.bare]\npath = \"/bare\"\n";
        let toml = listeners("")
            + CONTEXT
            + &provider("chat", Api::Chat, &chat)
            + &provider("messages", Api::Messages, &messages)
            + routes
            + more;
        let keys = [("WEB", WEB), ("BATCH", BATCH), ("BOUND", BOUND)];
        Self { dimmer: Dimmer::start_with(&toml, &keys), chat, messages }
    }

    fn upstream(&self, api: Api) -> &Upstream {
        match api {
            Api::Chat => &self.chat,
            Api::Messages => &self.messages,
            Api::Responses | Api::Completions => &self.chat,
        }
    }

    /// A generation request on a route; `members` are added to its body.
    fn ask(&self, api: Api, route: &str, headers: &str, members: &str) -> Answer {
        let body = api.ask(false).replacen('{', &format!("{{{members}"), 1);
        let headers = format!("content-type: application/json\r\n{headers}");
        let target = format!("{route}{}", api.path());
        request(self.dimmer.data, "POST", &target, &headers, body.as_bytes())
    }

    /// What the gateway understood of a chat request, without what it did not find.
    fn seen(&self, headers: &str, members: &str) -> String {
        let answer = self.ask(Api::Chat, "/r", headers, members);
        if answer.status != 200 {
            return format!("{} {}", answer.status, answer.code().unwrap_or_default());
        }
        let body: serde_json::Value = serde_json::from_slice(&self.chat.last().body).unwrap();
        let prompt = body["messages"][0]["content"].as_str().unwrap().to_owned();
        prompt.split(' ').filter(|part| !part.ends_with("=-")).collect::<Vec<_>>().join(" ")
    }

    fn ignored(&self, source: &str) -> f64 {
        self.dimmer.metrics().metric("dimmer_context_ignored_total", &[("source", source)])
    }

    /// Headers, members of the body, and what the gateway understands of them.
    fn check(&self, cases: &[(&str, &str, &str)]) {
        let found = cases.iter().map(|(headers, members, _)| self.seen(headers, members));
        let wrong: Vec<String> = cases
            .iter()
            .zip(found)
            .filter(|((_, _, expected), found)| found != expected)
            .map(|((headers, members, expected), found)| {
                format!("{headers:?} {members:?}\n  expected {expected}\n  found    {found}")
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

const WEB: &str = "the-key-of-web";
const BATCH: &str = "the-key-of-batch";
const BOUND: &str = "the-key-of-bound";
const CLIENTS: &str = r#"
[clients.web]
key = "${WEB}"
trusted = true
attributes = { tier = "pro", beta = true }
[clients.batch]
key = "${BATCH}"
[clients.bound]
key = "${BOUND}"
routes = ["bare"]
"#;

#[test]
fn a_client_is_known_by_its_key_in_any_form() {
    let world = World::start(CLIENTS);
    let known = [
        format!("authorization: Bearer {BATCH}\r\n"),
        format!("Authorization: bearer {BATCH}\r\n"),
        format!("x-api-key: {BATCH}\r\n"),
        format!("X-Dimmer-Key: {BATCH}\r\n"),
        format!("x-dimmer-key: {BATCH}\r\nauthorization: Bearer of-somebody-else\r\n"),
    ];
    let unknown = [
        String::new(),
        "authorization: Bearer nothing-like-it\r\n".to_owned(),
        "authorization: Bearer \r\n".to_owned(),
        format!("authorization: Basic {BATCH}\r\n"),
        format!("authorization: {BATCH}\r\n"),
        format!("authorization: Bearer {BATCH}x\r\n"),
        format!("x-api-key: {}\r\n", BATCH.trim_end_matches('h')),
        format!("x-api-key: {}\r\n", BATCH.to_ascii_uppercase()),
        format!("authorization: Bearer {TEST_KEY}\r\n"),
        format!("cookie: key={BATCH}\r\n"),
    ];
    for api in Api::BOTH {
        for headers in &known {
            assert_eq!(world.ask(api, "/bare", headers, "").status, 200, "{api:?} {headers}");
            let sent = world.upstream(api).last();
            assert!(!String::from_utf8_lossy(&sent.head).contains(BATCH), "{api:?} {headers}");
            let ours = match api {
                Api::Chat | Api::Responses | Api::Completions => {
                    (vec![format!("Bearer {TEST_KEY}")], Vec::new())
                }
                Api::Messages => (Vec::new(), vec![TEST_KEY.to_owned()]),
            };
            assert_eq!((sent.values("authorization"), sent.values("x-api-key")), ours, "{api:?} {headers}");
        }
        let before = world.upstream(api).requests().len();
        for headers in &unknown {
            for route in ["/bare", "/r", "/chosen", "/no/such/route"] {
                let answer = world.ask(api, route, headers, "");
                let found = (answer.status, answer.code());
                assert_eq!(found, (401, Some("dimmer_client_unknown".to_owned())), "{api:?} {headers}");
            }
        }
        let kind = &world.ask(api, "/bare", "", "").json()["error"]["type"];
        let expected = if api == Api::Chat { "invalid_request_error" } else { "authentication_error" };
        assert_eq!(kind, expected);
        assert_eq!(world.upstream(api).requests().len(), before, "what is refused goes nowhere");
    }
    for (method, target) in [("GET", "/bare/v1/models"), ("DELETE", "/bare/v1/files/x"), ("GET", "/")] {
        assert_eq!(request(world.dimmer.data, method, target, "", b"").status, 401, "{method} {target}");
    }
}

#[test]
fn a_client_reaches_only_its_routes() {
    let world = World::start(CLIENTS);
    let bound = format!("authorization: Bearer {BOUND}\r\n");
    for api in Api::BOTH {
        assert_eq!(world.ask(api, "/bare", &bound, "").status, 200);
        for route in ["/r", "/chosen"] {
            let answer = world.ask(api, route, &bound, "");
            let body = answer.json();
            assert_eq!((answer.status, answer.code().as_deref()), (403, Some("dimmer_client_forbidden")));
            assert_eq!(body["error"]["type"] == "permission_error", api == Api::Messages, "{body}");
            assert!(body["error"]["message"].as_str().unwrap().contains("bare"), "{body}");
        }
    }
    assert_eq!(request(world.dimmer.data, "GET", "/r/v1/models", &bound, b"").status, 403);
}

#[test]
fn the_callers_own_key_goes_only_where_nothing_was_chosen() {
    let world = World::start_with(CLIENTS, "forward_client_key = true\n");
    let own = "authorization: Bearer sk-of-the-app\r\nopenai-organization: org-1\r\n";
    let by_dimmer_key = format!("x-dimmer-key: {WEB}\r\n{own}");
    let by_sdk_key = format!("authorization: Bearer {WEB}\r\nopenai-organization: org-1\r\n");
    let ours = format!("Bearer {TEST_KEY}");
    for (route, headers, key, organization) in [
        ("/bare", &by_dimmer_key, "Bearer sk-of-the-app", 1),
        ("/r", &by_dimmer_key, "Bearer sk-of-the-app", 1),
        ("/chosen", &by_dimmer_key, &*ours, 0),
        // This key opened our door: it is no business of the provider's.
        ("/bare", &by_sdk_key, &*ours, 0),
        ("/r", &by_sdk_key, &*ours, 0),
        ("/chosen", &by_sdk_key, &*ours, 0),
    ] {
        assert_eq!(world.ask(Api::Chat, route, headers, "").status, 200);
        let sent = world.chat.last();
        assert_eq!(sent.values("authorization"), [key], "{route} {headers}");
        assert_eq!(sent.values("openai-organization").len(), organization, "{route} {headers}");
        assert!(!String::from_utf8_lossy(&sent.head).contains(WEB), "{route} {headers}");
    }
    let headers = format!("x-dimmer-key: {WEB}\r\nx-api-key: sk-of-the-app\r\n");
    assert_eq!(world.ask(Api::Messages, "/bare", &headers, "").status, 200);
    assert_eq!(world.messages.last().values("x-api-key"), ["sk-of-the-app"]);
}

#[test]
fn a_key_that_opened_our_door_is_not_forwarded_in_another_header_either() {
    let world = World::start_with(CLIENTS, "forward_client_key = true\n");
    for headers in [
        format!("x-dimmer-key: {WEB}\r\nauthorization: Bearer {WEB}\r\n"),
        format!("x-dimmer-key: {WEB}\r\nx-api-key: {WEB}\r\n"),
        format!("x-dimmer-key: {WEB}\r\nauthorization: Bearer {BATCH}\r\n"),
        format!("authorization: Bearer {WEB}\r\nx-api-key: {WEB}\r\n"),
    ] {
        for api in Api::BOTH {
            assert_eq!(world.ask(api, "/bare", &headers, "").status, 200, "{headers}");
            let head = String::from_utf8_lossy(&world.upstream(api).last().head).into_owned();
            assert!(!head.contains(WEB) && !head.contains(BATCH), "{api:?} {headers}: {head}");
        }
    }
}

#[test]
fn without_clients_the_callers_key_is_the_providers_affair() {
    for (forward, key) in [
        ("forward_client_key = true\n", "Bearer sk-of-the-app".to_owned()),
        ("", format!("Bearer {TEST_KEY}")),
    ] {
        let world = World::start_with("", forward);
        let headers = "authorization: Bearer sk-of-the-app\r\n";
        assert_eq!(world.ask(Api::Chat, "/bare", headers, "").status, 200);
        assert_eq!(world.chat.last().values("authorization"), [key], "{forward}");
        assert_eq!(world.ask(Api::Chat, "/chosen", headers, "").status, 200);
        assert_eq!(world.chat.last().values("authorization"), [format!("Bearer {TEST_KEY}")], "{forward}");
    }
}

const USER: &str = "x-user-id: ada\r\nx-plan: gold\r\n";
const BODY: &str = r#""user":"bob","metadata":{"team":"blue"},"#;

#[test]
fn headers_and_bodies_are_believed_only_where_they_may_be() {
    let batch = format!("authorization: Bearer {BATCH}\r\n");
    let web = format!("authorization: Bearer {WEB}\r\n");
    let listed = format!("[context]\nheaders_from = [\"192.0.2.0/24\", \"127.0.0.0/8\"]\n{CLIENTS}");
    let elsewhere = format!("[context]\nheaders_from = [\"10.0.0.0/8\"]\n{CLIENTS}");
    let all = "key=ada plan=gold team=blue";
    let trusted = "key=ada plan=gold tier=pro beta=true team=blue";
    for (what, more, key, believed) in [
        ("open, on loopback", "", "", Some(all)),
        ("a trusted client", CLIENTS, &*web, Some(trusted)),
        ("a client that is not trusted", CLIENTS, &*batch, None),
        ("any client of a listed peer", &*listed, &*batch, Some(all)),
        ("a peer of another network", &*elsewhere, &*batch, None),
        ("a trusted client elsewhere", &*elsewhere, &*web, Some(trusted)),
    ] {
        let world = World::start(more);
        let found = world.seen(&format!("{key}{USER}"), BODY);
        assert_eq!(found, believed.unwrap_or(""), "{what}");
        // A key or attribute in a header, then one in the body.
        let ignored = if believed.is_some() { (0, 0) } else { (2, 2) };
        assert_eq!((world.ignored("header") as u32, world.ignored("body") as u32), ignored, "{what}");
        let sent = world.chat.last();
        assert_eq!((sent.values("x-user-id").len(), sent.values("x-plan").len()), (0, 0), "{what}");
    }
}

#[test]
fn attributes_are_what_they_are_declared_to_be_or_missing() {
    let world = World::start("");
    let good = [
        ("x-plan: gold\r\n", "", "plan=gold"),
        ("X-PLAN:   gold  \r\n", "", "plan=gold"),
        ("x-plan: żółty\r\n", "", "plan=żółty"),
        ("x-plan: true\r\n", "", "plan=true"),
        ("x-user-tier: enterprise\r\n", "", "tier=enterprise"),
        ("x-user-beta: true\r\n", "", "beta=true"),
        ("x-user-beta: false\r\n", "", "beta=false"),
        ("x-account-age-days: 30\r\n", "", "age=30up"),
        ("x-account-age-days: 29.99\r\n", "", "age=under30"),
        ("x-account-age-days: -1\r\n", "", "age=under30"),
        ("x-account-age-days: 1e3\r\n", "", "age=30up"),
        ("", r#""metadata":{"team":"blue","seats":2.5},"#, "team=blue seats=2.5"),
        ("", r#""metadata":{"te\u0061m":"bl\u0075e","seats":"2.5"},"#, "team=blue seats=2.5"),
        // Empty is missing, and a missing one is nobody's fault.
        ("x-plan:\r\nx-user-beta:\r\n", "", ""),
        ("", r#""metadata":{"team":"","seats":null},"#, ""),
        ("", r#""metadata":"blue","#, ""),
    ];
    world.check(&good);
    assert_eq!((world.ignored("header") as u32, world.ignored("body") as u32), (0, 0));
    let bad_headers = [
        ("x-user-tier: gold\r\n", "", ""),
        ("x-user-tier: Pro\r\n", "", ""),
        ("x-user-beta: 1\r\n", "", ""),
        ("x-user-beta: True\r\n", "", ""),
        ("x-user-beta: yes\r\n", "", ""),
        ("x-account-age-days: many\r\n", "", ""),
        ("x-account-age-days: 30 days\r\n", "", ""),
        ("x-account-age-days: NaN\r\n", "", ""),
        ("x-account-age-days: inf\r\n", "", ""),
        ("x-account-age-days: 1e999\r\n", "", ""),
        // Two values leave open which was meant.
        ("x-plan: gold\r\nx-plan: silver\r\n", "", ""),
    ];
    world.check(&bad_headers);
    assert_eq!(world.ignored("header") as usize, bad_headers.len());
    world.check(&[("", r#""metadata":{"seats":"two"},"#, ""), ("", r#""metadata":{"seats":true},"#, "")]);
    assert_eq!(world.ignored("body") as u32, 2);
}

#[test]
fn what_the_file_says_of_a_client_beats_what_the_request_says() {
    let world = World::start(CLIENTS);
    let web = format!("authorization: Bearer {WEB}\r\n");
    world.check(&[
        (&web, "", "tier=pro beta=true"),
        (&format!("{web}x-user-tier: enterprise\r\nx-user-beta: false\r\n"), "", "tier=pro beta=true"),
        (&format!("{web}x-plan: gold\r\n"), "", "plan=gold tier=pro beta=true"),
    ]);
}

#[test]
fn the_targeting_key_is_the_first_that_is_there() {
    let world = World::start("");
    let all = r#""safety_identifier":"s","user":"u","metadata":{"user_id":"m"},"#;
    world.check(&[
        ("x-user-id: h\r\n", all, "key=h"),
        ("", all, "key=s"),
        ("x-user-id:\r\n", all, "key=s"),
        ("x-user-id:   \r\n", all, "key=s"),
        ("", r#""safety_identifier":"","user":"u","metadata":{"user_id":"m"},"#, "key=u"),
        ("", r#""safety_identifier":null,"user":"u","#, "key=u"),
        ("", r#""safety_identifier":{"a":1},"user":["u"],"metadata":{"user_id":"m"},"#, "key=m"),
        ("", r#""metadata":{"user_id":"m"},"user":"","#, "key=m"),
        ("", r#""user":42,"#, "key=42"),
        ("", r#""us\u0065r":"\u0061da","#, "key=ada"),
        ("x-user-id: Ada\r\n", "", "key=Ada"),
        ("", "", ""),
        // Two of one kind: of headers neither is believed, of the body's the request is refused.
        ("x-user-id: a\r\nx-user-id: b\r\n", r#""user":"u","#, "key=u"),
        ("", r#""user":"a","user":"b","#, "400 dimmer_bad_request"),
        ("", r#""user":"a","us\u0065r":"b","#, "400 dimmer_bad_request"),
        ("", r#""metadata":{"user_id":"a","user_id":"b"},"#, "400 dimmer_bad_request"),
    ]);
    let answer = world.ask(Api::Messages, "/r", "", r#""metadata":{"user_id":"m"},"#);
    assert_eq!(answer.status, 200);
    let body: serde_json::Value = serde_json::from_slice(&world.messages.last().body).unwrap();
    assert!(body["system"].as_str().unwrap().starts_with("key=m "), "{body}");
    assert_eq!(body["metadata"]["user_id"], "m", "the body is the provider's");
}

#[test]
fn what_is_meant_for_the_gateway_stays_here() {
    let world = World::start("");
    let ours = "x-user-id: a\r\nX-Session-Id: s\r\nx-plan: p\r\nx-user-tier: odd\r\nx-user-beta: true\r\n\
                x-account-age-days: 3\r\nx-dimmer-route: bare\r\nX-Dimmer-Anything: x\r\nx-dimmer-key: k\r\n";
    let theirs = ["x-request-id", "x-userid", "x-plans", "x-dimmerx", "user-agent"];
    let headers = theirs.iter().fold(ours.to_owned(), |all, name| all + name + ": kept\r\n");
    let check = |sent: crate::upstreams::Recorded| {
        let names = sent.names();
        let leaked = ours.lines().map(|line| line.split(':').next().unwrap().to_ascii_lowercase());
        let leaked: Vec<String> = leaked.filter(|name| names.contains(name)).collect();
        assert!(leaked.is_empty(), "{leaked:?} in {}", String::from_utf8_lossy(&sent.head));
        for name in theirs {
            assert_eq!(sent.values(name), ["kept"], "{}", sent.line());
        }
    };
    for api in Api::BOTH {
        for route in ["/r", "/bare"] {
            assert_eq!(world.ask(api, route, &headers, "").status, 200);
            check(world.upstream(api).last());
        }
    }
    for (method, target) in [("GET", "/r/v1/models"), ("POST", "/bare/v1/files"), ("DELETE", "/r/v1/files/x")]
    {
        request(world.dimmer.data, method, target, &headers, b"");
        check(world.chat.last());
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// What HTTP calls `deflate`.
fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// One stored block of at most 64 KiB and an empty last one (RFC 7932, section 9).
fn brotli(plain: &[u8]) -> Vec<u8> {
    let head = ((plain.len() as u32 - 1) << 4 | 1 << 20).to_le_bytes();
    [&head[..3], plain, &[0b11]].concat()
}

/// Sends an encoded body; the status, and what the provider got.
fn send_encoded(world: &World, route: &str, coding: &str, body: &[u8]) -> (u16, Option<String>) {
    let headers = format!("content-type: application/json\r\n{coding}");
    let target = format!("{route}/v1/chat/completions");
    let answer = request(world.dimmer.data, "POST", &target, &headers, body);
    (answer.status, answer.code())
}

#[test]
fn encoded_bodies_are_decoded_where_they_are_read() {
    let world = World::start("");
    let plain = br#"{"user":"ada","model":"m-2","messages":[{"role":"user","content":"Hi"}],"x":1.0}"#;
    let read = br#"{"user":"ada","model":"m-2","messages":[{"role":"system","content":"key=ada"#;
    for (coding, body) in [
        ("gzip", gzip(plain)),
        ("x-gzip", gzip(plain)),
        ("GZIP", gzip(plain)),
        ("deflate", zlib(plain)),
        ("br", brotli(plain)),
        ("identity", plain.to_vec()),
        ("gzip, deflate", zlib(&gzip(plain))),
        ("identity, br", brotli(plain)),
    ] {
        let header = format!("content-encoding: {coding}\r\n");
        assert_eq!(send_encoded(&world, "/r", &header, &body), (200, None), "{coding}");
        let sent = world.chat.last();
        assert!(sent.body.starts_with(read), "{coding}: {}", String::from_utf8_lossy(&sent.body));
        assert!(sent.body.ends_with(br#""x":1.0}"#), "{coding}");
        assert_eq!(sent.values("content-length"), [sent.body.len().to_string()], "{coding}");
        let left = sent.values("content-encoding");
        assert!(
            left.is_empty() || left == ["identity"] || coding.starts_with("identity"),
            "{coding}: {left:?}"
        );
    }
}

#[test]
fn codings_on_two_lines_are_one_list() {
    let world = World::start("");
    let plain = br#"{"model":"m-2","messages":[{"role":"user","content":"Hi"}]}"#;
    let header = "content-encoding: gzip\r\ncontent-encoding: deflate\r\n";
    assert_eq!(send_encoded(&world, "/r", header, &zlib(&gzip(plain))), (200, None));
    assert!(world.chat.last().values("content-encoding").is_empty());
}

#[test]
fn encoded_bodies_that_cannot_be_read_are_refused() {
    let world = World::start("");
    let plain = br#"{"model":"m-2","messages":[{"role":"user","content":"Hi"}]}"#;
    let bomb = vec![b' '; 33 << 20];
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 5);
        bytes
    };
    let before = world.chat.requests().len();
    for (coding, body, status, code) in [
        ("gzip", gzip(&bomb), 413, "dimmer_body_too_large"),
        ("deflate", zlib(&bomb), 413, "dimmer_body_too_large"),
        ("gzip, gzip", gzip(&gzip(&bomb)), 413, "dimmer_body_too_large"),
        ("zstd", plain.to_vec(), 415, "dimmer_unsupported_encoding"),
        ("compress", plain.to_vec(), 415, "dimmer_unsupported_encoding"),
        ("gzip, zstd", gzip(plain), 415, "dimmer_unsupported_encoding"),
        ("*", plain.to_vec(), 415, "dimmer_unsupported_encoding"),
        ("gzip", plain.to_vec(), 400, "dimmer_bad_request"),
        ("gzip", cut(gzip(plain)), 400, "dimmer_bad_request"),
        ("deflate", cut(zlib(plain)), 400, "dimmer_bad_request"),
        ("br", cut(brotli(plain)), 400, "dimmer_bad_request"),
    ] {
        let header = format!("content-encoding: {coding}\r\n");
        let found = send_encoded(&world, "/r", &header, &body);
        assert_eq!(found, (status, Some(code.to_owned())), "{coding}");
    }
    assert_eq!(world.chat.requests().len(), before, "nothing of it goes on");
}
