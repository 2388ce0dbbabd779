//! Byte-exactness both ways: what no flag names comes out as it went in, and the few exceptions are exactly those of
//! the contract.

use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use crate::harness::{Connection, Dimmer, TEST_KEY, get, listeners, request};
use crate::upstreams::{After, Api, Upstream, answers, chunk, json, sized};

/// Both APIs: a bare route, one that sets the model, and one that sets the system prompt, all before one upstream.
fn config(chat: &Upstream, messages: &Upstream) -> String {
    let part = |name: &str, api: Api, upstream: &Upstream| {
        let (dialect, url) = (api.dialect(), api.base_url(upstream.address));
        format!(
            "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"{url}\"\napi_key = \"${{TEST_KEY}}\"\n\
             [models.other-{name}]\nprovider = \"{name}\"\nupstream_model = \"m-2\"\n\
             [routes.{name}]\npath = \"/{name}\"\nprovider = [\"{name}\"]\n\
             [routes.{name}-model]\npath = \"/{name}-model\"\nprovider = [\"{name}\"]\nmodel = \"other-{name}\"\n\
             [routes.{name}-prompt]\npath = \"/{name}-prompt\"\nprovider = [\"{name}\"]\nsystem_prompt = \"terse\"\n"
        )
    };
    listeners("")
        + "[context]\ntargeting_key = [\"header:x-user-id\"]\n[prompts.terse]\ntext = \"One word.\"\n"
        + &part("chat", Api::Chat, chat)
        + &part("messages", Api::Messages, messages)
}

fn name(api: Api) -> &'static str {
    match api {
        Api::Chat | Api::Responses | Api::Completions => "chat",
        Api::Messages => "messages",
    }
}

/// What tells the APIs apart on paths that both have.
fn version(api: Api) -> &'static str {
    match api {
        Api::Chat | Api::Responses | Api::Completions => "",
        Api::Messages => "anthropic-version: 2023-06-01\r\n",
    }
}

fn start(upstream: &Upstream) -> Dimmer {
    Dimmer::start(&config(upstream, upstream))
}

const JSON_HEADERS: &str = "content-type: application/json\r\n";

/// White space between JSON's parts.
fn space() -> BoxedStrategy<&'static str> {
    prop_oneof![8 => Just(""), 3 => Just(" "), 1 => Just("\n  "), 1 => Just("\t"), 1 => Just("\r\n")].boxed()
}

/// A JSON text, quoted, with odd spellings.
fn text() -> BoxedStrategy<String> {
    let part = prop_oneof![
        4 => "[a-z0-9 {}\\[\\]:,]{0,8}",
        1 => Just(r"\u0065".to_owned()),
        1 => Just(r"\/".to_owned()),
        1 => Just(r#"\"model\":"#.to_owned()),
        1 => Just(r"\ud83d\ude00".to_owned()),
        1 => Just(r"\\".to_owned()),
        1 => Just("é\u{2028}😀".to_owned()),
    ];
    vec(part, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat())).boxed()
}

/// Any JSON value as text, spelled in every way that the grammar allows.
fn value() -> BoxedStrategy<String> {
    const NUMBERS: [&str; 12] = [
        "0",
        "-0",
        "1.0",
        "1.50",
        "1e3",
        "1E+2",
        "-2.5e-07",
        "12345678901234567890123",
        "0.1000",
        "3.14159",
        "7",
        "-1",
    ];
    let leaf = prop_oneof![
        3 => (0..NUMBERS.len()).prop_map(|index| NUMBERS[index].to_owned()),
        3 => text(),
        1 => prop_oneof![Just("true".to_owned()), Just("false".to_owned()), Just("null".to_owned())],
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let list = (vec((space(), inner.clone(), space()), 0..4)).prop_map(|items| {
            let items: Vec<String> = items.iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
            format!("[{}]", items.join(","))
        });
        let object = vec((space(), text(), space(), inner, space()), 0..4).prop_map(|members| {
            let members: Vec<String> =
                members.iter().map(|(a, key, b, item, c)| format!("{a}{key}{b}:{item}{c}")).collect();
            format!("{{{}}}", members.join(","))
        });
        prop_oneof![list, object]
    })
    .boxed()
}

/// A request: the parts before the model's value, the value, and the parts after it.
fn asked(api: Api) -> BoxedStrategy<(String, String, String)> {
    const KEYS: [&str; 4] = [r#""model""#, r#""mod\u0065l""#, r#""\u006dodel""#, r#""mode\u006C""#];
    let fixed = match api {
        Api::Chat => r#""messages" : [{"role":"user","content":"Hi \"model\": \"x\""}]"#,
        Api::Messages => {
            r#""max_tokens": 1.0e2,"messages":[{"content":[{"text":"Hi","type":"text"}],"role":"user"}]"#
        }
        Api::Responses => r#""input" : [{"role":"user","content":"Hi \"model\": \"x\""}]"#,
        Api::Completions => r#""prompt" : [1, 2.0 ,3]"#,
    };
    let fixed = if api == Api::Messages { fixed.replace("1.0e2", "100") } else { fixed.to_owned() };
    let member = (space(), value(), space());
    (vec(member, 0..5), 0..KEYS.len(), text(), any::<proptest::sample::Index>(), space(), space())
        .prop_map(move |(members, key, model, at, before, after)| {
            let unknown =
                members.iter().enumerate().map(|(n, (a, item, b))| format!("{a}\"unknown_{n}\"{b}:{item}"));
            let mut parts: Vec<String> = unknown.collect();
            parts.insert(at.index(parts.len() + 1), fixed.clone());
            let place = at.index(parts.len() + 1);
            let head: String = parts[..place].iter().map(|part| format!("{part},")).collect();
            let tail: String = parts[place..].iter().map(|part| format!(",{part}")).collect();
            let model = if model == "\"\"" { "\"m-1\"".to_owned() } else { model };
            (
                format!("{before}{{{head}{}{before}:{after}", KEYS[key]),
                model,
                format!("{after}{tail}}}{before}"),
            )
        })
        .boxed()
}

/// Runs `check` with a few hundred generated values, over whatever connection it keeps.
fn property<T: std::fmt::Debug>(strategy: BoxedStrategy<T>, cases: u32, check: impl Fn(T)) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        check(value);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn generated_requests_arrive_byte_for_byte() {
    for api in Api::ALL {
        let upstream = answers(json("200 OK", api.whole()));
        let dimmer = start(&upstream);
        let connection = Mutex::new(Connection::open(dimmer.data));
        let bare = format!("/{}{}", name(api), api.path());
        let with_model = format!("/{}-model{}", name(api), api.path());
        property(asked(api), 150, |(before, model, after)| {
            let sent = format!("{before}{model}{after}");
            let mut connection = connection.lock().unwrap_or_else(|poisoned| {
                // A failed case left the connection in the middle of an answer; shrinking needs a new one.
                let mut guard = poisoned.into_inner();
                *guard = Connection::open(dimmer.data);
                guard
            });
            connection.send_request("POST", &bare, JSON_HEADERS, sent.as_bytes());
            let answer = connection.answer("POST");
            assert_eq!((answer.status, answer.text().as_str()), (200, api.whole()));
            assert_eq!(String::from_utf8_lossy(&upstream.last().body), sent);
            connection.send_request("POST", &with_model, JSON_HEADERS, sent.as_bytes());
            let answer = connection.answer("POST");
            assert_eq!((answer.status, answer.text().as_str()), (200, api.whole()));
            assert_eq!(String::from_utf8_lossy(&upstream.last().body), format!("{before}\"m-2\"{after}"));
        });
    }
}

#[test]
fn outside_the_system_prompt_nothing_changes() {
    let cases = [
        (
            Api::Chat,
            r#"{ "x":1.0,"messages" :[ {"role":"system","content":"Old."} ,{"role":"user", "content":"Hé"}],"mod\u0065l":"m","y":[1e3]}"#,
            r#"{ "x":1.0,"messages" :[ {"role":"system","content":"One word."} ,{"role":"user", "content":"Hé"}],"mod\u0065l":"m","y":[1e3]}"#,
        ),
        (
            Api::Messages,
            r#"{"system" : "Old." ,"max_tokens":9, "model":"m","messages":[ {"role":"user","content":"Hi"}],"t":-0}"#,
            r#"{"system" : "One word." ,"max_tokens":9, "model":"m","messages":[ {"role":"user","content":"Hi"}],"t":-0}"#,
        ),
        (
            Api::Responses,
            r#"{"instructions" : "Old." ,"input":[ {"role":"user","content":"Hi"}, {"type":"item_reference", "id":"i"}],"t":-0}"#,
            r#"{"instructions" : "One word." ,"input":[ {"role":"user","content":"Hi"}, {"type":"item_reference", "id":"i"}],"t":-0}"#,
        ),
    ];
    for (api, sent, expected) in cases {
        let upstream = answers(json("200 OK", api.whole()));
        let dimmer = start(&upstream);
        let target = format!("/{}-prompt{}", name(api), api.path());
        let answer = request(dimmer.data, "POST", &target, JSON_HEADERS, sent.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let got = upstream.last().body;
        // How the new block is written is the rewriter's affair; what is around it is not.
        let around = |text: &str| {
            let (before, rest) =
                text.split_once(r#""One word.""#).unwrap_or_else(|| panic!("no prompt: {text}"));
            (before.to_owned(), rest.to_owned())
        };
        let (before, after) = around(&String::from_utf8(got).unwrap());
        let (wanted_before, wanted_after) = around(expected);
        let squeezed = |text: &str| text.replace(' ', "");
        assert!(squeezed(&before) == squeezed(&wanted_before), "{before}");
        assert!(squeezed(&after) == squeezed(&wanted_after), "{after}");
        let (_, end) = wanted_after.split_at(wanted_after.len() - 30);
        assert!(after.ends_with(end), "{after}");
    }
}

/// One event of a stream, in every way that the format allows.
fn event() -> BoxedStrategy<String> {
    let line_end = prop_oneof![4 => Just("\n"), 1 => Just("\r\n"), 1 => Just("\r")];
    let line = prop_oneof![
        4 => value().prop_map(|json| format!("data: {}", json.replace(['\n', '\r'], " "))),
        1 => text().prop_map(|json| format!("data:{json}")),
        1 => "[a-zé😀 ]{0,12}".prop_map(|words| format!(": {words}")),
        1 => Just("event: surprise".to_owned()),
        1 => Just("id: 7".to_owned()),
        1 => Just("retry: 100".to_owned()),
        1 => Just("unknown-field".to_owned()),
        1 => Just("data".to_owned()),
    ];
    (vec(line, 1..4), line_end)
        .prop_map(|(lines, end)| lines.iter().map(|line| format!("{line}{end}")).collect::<String>() + end)
        .boxed()
}

#[test]
fn generated_streams_arrive_byte_for_byte() {
    for api in Api::BOTH {
        let script: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let played = Arc::clone(&script);
        let upstream = Upstream::new(move |peer, _| {
            let pieces = played.lock().unwrap().clone();
            peer.write(crate::upstreams::STREAM_HEAD);
            peer.write_chunks(&pieces);
            peer.then("0\r\n\r\n", After::KeepAlive)
        });
        let dimmer = start(&upstream);
        let connection = Mutex::new(Connection::open(dimmer.data));
        let ask = api.ask(true);
        let events = (vec(event(), 0..6), vec(any::<proptest::sample::Index>(), 0..8)).boxed();
        property(events, 100, |(events, cuts)| {
            let start = api.events()[..2].concat();
            let whole = (start + &events.concat() + &api.events()[2..].concat()).into_bytes();
            // The provider writes it in pieces that end anywhere, also inside a letter.
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len())).collect();
            ends.extend([0, whole.len()]);
            ends.sort_unstable();
            ends.dedup();
            *script.lock().unwrap() = ends.windows(2).map(|pair| whole[pair[0]..pair[1]].to_vec()).collect();
            for route in [name(api).to_owned(), format!("{}-model", name(api))] {
                let mut connection = connection.lock().unwrap_or_else(|poisoned| {
                    let mut guard = poisoned.into_inner();
                    *guard = Connection::open(dimmer.data);
                    guard
                });
                connection.send_request(
                    "POST",
                    &format!("/{route}{}", api.path()),
                    JSON_HEADERS,
                    ask.as_bytes(),
                );
                let answer = connection.answer("POST");
                assert!(answer.complete && answer.status == 200);
                assert_eq!(answer.text(), String::from_utf8_lossy(&whole));
            }
        });
    }
}

#[test]
fn other_calls_pass_unchanged() {
    let jsonl = "{\"custom_id\":\"a\"}\n{\"custom_id\":\"b\",\"n\":1.0}\r\n";
    let multipart =
        "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\0\u{ff}\r\n--x--\r\n";
    let cases: [(&str, &str, &str, &[u8]); 9] = [
        ("GET", "/v1/models", "", b""),
        ("GET", "/v1/files?limit=2&after=%2Fa%20b&&x=", "", b""),
        ("DELETE", "/v1/files/file-1", "", b""),
        ("HEAD", "/v1/files/file-1", "", b""),
        ("POST", "/v1/files", "content-type: multipart/form-data; boundary=x\r\n", multipart.as_bytes()),
        ("POST", "/v1/batches", "content-type: application/jsonl\r\n", jsonl.as_bytes()),
        ("POST", "/v1/audio/speech", "content-type: application/json\r\n", b"{ not json \xff\x00 }"),
        ("PUT", "/v1/a//b/c.;d=1,@:!$&'()*+=~", "", b"x"),
        ("PATCH", "/v1/%E2%82%AC/%7e", "", b""),
    ];
    for api in Api::BOTH {
        let body: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let upstream = answers(sized("201 Created", "content-type: audio/mpeg\r\n", &body));
        let head_only = answers("HTTP/1.1 200 OK\r\ncontent-length: 12345\r\netag: \"x\"\r\n\r\n");
        let (dimmer, head_dimmer) = (start(&upstream), start(&head_only));
        for (method, target, headers, sent) in cases {
            let gateway = if method == "HEAD" { &head_dimmer } else { &dimmer };
            let headers = format!("{headers}{}", version(api));
            let answer = request(gateway.data, method, &format!("/{}{target}", name(api)), &headers, sent);
            assert!(answer.status < 400, "{method} {target}: {} {}", answer.status, answer.text());
            let reached = if method == "HEAD" { &head_only } else { &upstream };
            let seen = reached.last();
            assert_eq!(seen.line(), format!("{method} {target} HTTP/1.1"), "{api:?}");
            assert_eq!(seen.body, sent, "{method} {target}");
            if method == "HEAD" {
                assert_eq!((answer.status, answer.header("content-length")), (200, Some("12345")));
            } else {
                assert_eq!(
                    (answer.status, answer.body == body, answer.complete),
                    (201, true, true),
                    "{target}"
                );
                assert_eq!(answer.header("content-type"), Some("audio/mpeg"));
            }
        }
    }
}

#[test]
fn a_path_never_climbs_out_of_the_providers_own() {
    let upstream = answers(json("200 OK", "{}"));
    let dimmer = start(&upstream);
    for path in
        ["/chat/v1/../admin", "/chat/v1/%2e%2e/admin", "/chat/v1/./x", "/chat/v1/a/%2E./b", "/chat/.."]
    {
        let answer = get(dimmer.data, path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {} {}", answer.status, answer.text());
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_path_is_met_without_its_version_too() {
    for api in Api::BOTH {
        let upstream = answers(json("200 OK", api.whole()));
        let dimmer = start(&upstream);
        let short = api.path().strip_prefix("/v1").unwrap();
        let target = format!("/{}{short}?beta=true", name(api));
        let answer = request(dimmer.data, "POST", &target, JSON_HEADERS, api.ask(false).as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(upstream.last().line(), format!("POST {}?beta=true HTTP/1.1", api.path()));
    }
}

#[test]
fn request_headers_keep_to_the_rules() {
    let sent = "user-agent: App/1.0\r\naccept: */*\r\nx-unknown: b\r\nX-Unknown: a\r\nx-unknown: b\r\n\
                anthropic-version: 2026-10-21\r\nanthropic-beta: one,two\r\nopenai-beta: x=1\r\nx-stainless-lang: js\r\n\
                x-empty:\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
                authorization: Bearer sk-caller\r\nx-api-key: sk-caller\r\napi-key: sk-caller\r\ncookie: sk=caller\r\n\
                openai-organization: org-caller\r\nopenai-project: proj-caller\r\nproxy-authorization: Basic caller\r\n\
                connection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nte: trailers\r\n\
                proxy-connection: keep-alive\r\nx-dimmer-anything: 1\r\nx-user-id: u-7\r\ncontent-type: application/json\r\n";
    for api in Api::BOTH {
        let upstream = answers(json("200 OK", api.whole()));
        let dimmer = start(&upstream);
        for route in [name(api).to_owned(), format!("{}-model", name(api))] {
            let target = format!("/{route}{}", api.path());
            let answer = request(dimmer.data, "POST", &target, sent, api.ask(false).as_bytes());
            assert_eq!(answer.status, 200, "{}", answer.text());
            let seen = upstream.last();
            assert_eq!(seen.values("x-unknown"), ["b", "a", "b"]);
            for (kept, value) in [
                ("user-agent", "App/1.0"),
                ("accept", "*/*"),
                ("anthropic-version", "2026-10-21"),
                ("anthropic-beta", "one,two"),
                ("openai-beta", "x=1"),
                ("x-stainless-lang", "js"),
                ("x-empty", ""),
                ("content-type", "application/json"),
                ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ] {
                assert_eq!(seen.values(kept), [value], "{kept}");
            }
            let names = seen.names();
            for gone in [
                "api-key",
                "cookie",
                "openai-organization",
                "openai-project",
                "proxy-authorization",
                "x-hop",
                "keep-alive",
                "te",
                "proxy-connection",
                "x-dimmer-anything",
                "x-user-id",
            ] {
                assert!(!names.iter().any(|name| name == gone), "{gone} went upstream");
            }
            assert!(!String::from_utf8_lossy(&seen.head).contains("caller"), "a credential of the caller's");
            let credentials = [seen.values("authorization"), seen.values("x-api-key")].concat();
            assert_eq!(credentials.len(), 1, "exactly one credential");
            assert!(credentials[0].ends_with(TEST_KEY));
            assert_eq!(seen.values("host"), [upstream.address.to_string()]);
            assert_eq!(seen.values("content-length").len(), 1);
        }
    }
}

#[test]
fn answer_headers_keep_to_the_rules() {
    let headers = "content-type: application/json\r\nx-request-id: req_9\r\nx-unknown: b\r\nX-Unknown: a\r\n\
                   x-ratelimit-remaining-tokens: 9\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\n\
                   keep-alive: timeout=5\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
    for api in Api::BOTH {
        let upstream = answers(sized("200 Fine", headers, api.whole()));
        let dimmer = start(&upstream);
        for route in [name(api).to_owned(), format!("{}-model", name(api))] {
            let target = format!("/{route}{}", api.path());
            let answer = request(dimmer.data, "POST", &target, JSON_HEADERS, api.ask(false).as_bytes());
            let values = |wanted: &str| {
                let matching = answer.headers.iter().filter(|(known, _)| known == wanted);
                matching.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
            };
            assert_eq!(values("x-unknown"), ["b", "a"]);
            assert_eq!(values("x-request-id"), ["req_9"]);
            assert_eq!(values("x-ratelimit-remaining-tokens"), ["9"]);
            assert_eq!(values("date"), ["Thu, 01 Jan 2026 00:00:00 GMT"]);
            assert_eq!(values("content-length"), [api.whole().len().to_string()]);
            assert!(values("x-hop").is_empty() && values("keep-alive").is_empty());
            assert_eq!(values("x-dimmer-route"), [route.as_str()]);
            assert_eq!(values("x-dimmer-request-id").len(), 1);
        }
    }
}

#[test]
fn encoded_answers_stay_encoded() {
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, Api::Chat.whole().as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let headers = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
    let upstream = answers(sized("200 OK", headers, &packed));
    let dimmer = start(&upstream);
    for route in ["chat", "chat-model"] {
        let target = format!("/{route}/v1/chat/completions");
        let sent = format!("{JSON_HEADERS}accept-encoding: gzip, zstd\r\n");
        let answer = request(dimmer.data, "POST", &target, &sent, Api::Chat.ask(false).as_bytes());
        assert_eq!(
            (answer.header("content-encoding"), answer.body == packed),
            (Some("gzip"), true),
            "{route}"
        );
    }
    // What a route must read is asked for in no encoding that could not be read.
    let asked =
        upstream.requests().iter().map(|seen| seen.values("accept-encoding").concat()).collect::<Vec<_>>();
    assert!(!asked[1].contains("zstd") || asked[0] == asked[1], "{asked:?}");
}

#[test]
fn empty_answers_stay_empty() {
    for (status, expected) in [("204 No Content", 204), ("304 Not Modified", 304)] {
        let upstream = answers(format!("HTTP/1.1 {status}\r\nx-kept: 1\r\n\r\n"));
        let dimmer = start(&upstream);
        let mut connection = Connection::open(dimmer.data);
        for _ in 0..3 {
            connection.send_request("GET", "/chat/v1/files/x", "", b"");
            let answer = connection.answer("GET");
            assert_eq!((answer.status, answer.header("x-kept"), answer.body.len()), (expected, Some("1"), 0));
        }
    }
}

#[test]
fn uploads_larger_than_what_is_read_stream_through() {
    let upstream = answers(json("200 OK", "{}"));
    let dimmer = start(&upstream);
    let piece: Vec<u8> = (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let before = dimmer.resident();
    let mut connection = Connection::open(dimmer.data);
    connection.send(b"POST /chat/v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..48 {
        connection.send(&chunk(&piece));
    }
    let during = dimmer.resident();
    connection.send(b"0\r\n\r\n");
    assert_eq!(connection.answer("POST").status, 200);
    let seen = upstream.last();
    assert_eq!(seen.body.len(), 48 << 20);
    assert!(seen.body.chunks(1 << 20).all(|part| part == piece));
    assert!(during < before + (32 << 20), "held: {} MiB", (during - before) >> 20);
}

#[test]
fn the_admin_paths_are_not_on_the_data_listener() {
    let dimmer = start(&answers(json("200 OK", "{}")));
    for path in ["/metrics", "/healthz", "/readyz", "/api/v1/flags"] {
        assert_eq!(get(dimmer.data, path).status, 404, "{path}");
    }
}
