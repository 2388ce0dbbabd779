//! Good answers, whole and streamed, of every pair.

use serde_json::Value;

use super::{PAIRS, Pair, far, has_end, streamed_text, text};
use crate::harness::wait_until;
use crate::upstreams::{After, Api, STREAM_HEAD, Upstream, answers_well, chunk, sized, wants_stream};

#[test]
fn a_whole_answer_is_the_callers_own() {
    for (api, spoken) in PAIRS {
        let upstream = answers_well(spoken);
        let (world, dimmer) = far((api, spoken), &upstream, "");
        let answer = world.ask(&dimmer, "r", false);
        assert_eq!((answer.status, answer.complete), (200, true), "{api:?}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
        assert_eq!(answer.header("x-dimmer-model"), Some("far"));
        let said = answer.json();
        assert_eq!(text(api, &said), "Hello there", "{api:?}");
        let tokens = match api {
            Api::Chat => ["/usage/prompt_tokens", "/usage/completion_tokens"],
            _ => ["/usage/input_tokens", "/usage/output_tokens"],
        };
        let tokens = tokens.map(|at| said.pointer(at).and_then(Value::as_u64));
        assert_eq!(tokens, [Some(9), Some(2)], "{api:?}: {said}");
        // The provider's own bytes are what is measured.
        let of = |kind| [("route", "r"), ("model", "far"), ("kind", kind)];
        wait_until("tokens are counted", || {
            dimmer.metrics().metric("dimmer_tokens_total", &of("output")) == 2.0
        });
        assert_eq!(dimmer.metrics().metric("dimmer_tokens_total", &of("input")), 9.0);
        assert_eq!(dimmer.metrics().metric("dimmer_requests_total", &[("outcome", "ok")]), 1.0);
    }
}

#[test]
fn a_stream_is_the_callers_own_however_it_is_cut_into_pieces() {
    for (api, spoken) in PAIRS {
        let mut known: Option<String> = None;
        for piece in [1, 7, 61, 4096] {
            let upstream = in_pieces(spoken, piece);
            let (world, dimmer) = far((api, spoken), &upstream, "");
            let answer = world.ask(&dimmer, "r", true);
            assert_eq!((answer.status, answer.complete), (200, true), "{api:?}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("text/event-stream"));
            let stream = answer.text();
            assert_eq!(streamed_text(api, &stream), "Hello", "{api:?} in pieces of {piece}: {stream}");
            assert!(has_end(api, &stream) && stream.ends_with("\n\n"), "{api:?}: {stream}");
            let created = |stream: &str| without_times(stream);
            let first = known.get_or_insert_with(|| created(&stream));
            assert_eq!(created(&stream), *first, "{api:?}: pieces of {piece} change nothing");
            let outcome = [("route", "r"), ("outcome", "ok")];
            wait_until("it is counted", || dimmer.metrics().metric("dimmer_requests_total", &outcome) == 1.0);
            assert_eq!(dimmer.metrics().metric("dimmer_time_to_first_token_seconds_count", &[]), 1.0);
        }
    }
}

/// Ids and times of one request are not those of another.
fn without_times(stream: &str) -> String {
    let mut lines = Vec::new();
    for line in stream.lines() {
        let Some(mut event) =
            line.strip_prefix("data: ").and_then(|data| serde_json::from_str::<Value>(data).ok())
        else {
            lines.push(line.to_owned());
            continue;
        };
        scrub(&mut event);
        lines.push(event.to_string());
    }
    lines.join("\n")
}

fn scrub(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match name.as_str() {
                    "id" | "item_id" | "created" | "created_at" | "completed_at" => *member = Value::Null,
                    _ => scrub(member),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(scrub),
        _ => {}
    }
}

/// A good stream, its bytes cut anywhere.
fn in_pieces(api: Api, piece: usize) -> Upstream {
    Upstream::new(move |peer, _| {
        peer.write(STREAM_HEAD);
        for piece in api.events().concat().as_bytes().chunks(piece) {
            peer.write(chunk(piece));
        }
        peer.then("0\r\n\r\n", After::KeepAlive)
    })
}

/// A token is passed on while the provider thinks of the next.
#[test]
fn what_came_is_passed_on_at_once() {
    for (api, spoken) in PAIRS {
        let upstream = Upstream::new(move |peer, _| {
            peer.write(STREAM_HEAD);
            let events = spoken.events();
            let first = events.iter().position(|event| event.contains("Hello")).unwrap() + 1;
            peer.write_chunks(&events[..first]);
            After::Hang
        });
        let (world, dimmer) = far((api, spoken), &upstream, "");
        let mut connection = world.open(&dimmer, "r", true);
        let head = connection.head();
        let mut framing = head.framing("POST");
        let mut come = String::new();
        while !come.contains("Hello") {
            match connection.piece(&mut framing) {
                crate::harness::Piece::Data(data) => come += &String::from_utf8_lossy(&data),
                other => panic!("{api:?}: {other:?} after {come}"),
            }
        }
        // The caller leaves, and so the provider's work is ended.
        drop(connection);
        upstream.wait_closed(1);
        let cancelled = [("route", "r"), ("outcome", "cancelled")];
        wait_until("it is counted", || dimmer.metrics().metric("dimmer_requests_total", &cancelled) == 1.0);
    }
}

/// It was asked not to encode its answer. Some do all the same.
#[test]
fn an_encoded_answer_is_decoded_first() {
    for (api, spoken) in PAIRS {
        let upstream = Upstream::new(move |peer, request| {
            let plain =
                if wants_stream(request) { spoken.events().concat() } else { spoken.whole().to_owned() };
            let kind = if wants_stream(request) { "text/event-stream" } else { "application/json" };
            let head = format!("content-type: {kind}\r\ncontent-encoding: gzip\r\n");
            peer.then(sized("200 OK", &head, gzip(plain.as_bytes())), After::KeepAlive)
        });
        let (world, dimmer) = far((api, spoken), &upstream, "");
        let whole = world.ask(&dimmer, "r", false);
        assert_eq!((whole.status, whole.header("content-encoding")), (200, None), "{}", whole.text());
        assert_eq!(text(api, &whole.json()), "Hello there");
        let stream = world.ask(&dimmer, "r", true);
        assert_eq!(stream.header("content-encoding"), None);
        assert_eq!(streamed_text(api, &stream.text()), "Hello");
        assert!(has_end(api, &stream.text()));
    }
}

/// RFC 1952, in stored blocks: no compressor is needed to be decoded.
fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let length = u16::try_from(plain.len()).unwrap();
    bytes.push(1);
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend_from_slice(plain);
    bytes.extend(crc32(plain).to_le_bytes());
    bytes.extend((plain.len() as u32).to_le_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !bytes.iter().fold(!0, byte)
}

/// Comments while the model thinks are the caller's own stream's.
#[test]
fn a_silent_stream_gets_signs_of_life() {
    let pair: Pair = (Api::Chat, Api::Messages);
    let upstream = Upstream::new(|peer, _| {
        peer.write(STREAM_HEAD);
        peer.write(chunk(Api::Messages.events()[0]));
        After::Hang
    });
    let mut world = super::World::new(pair.0);
    world.config = world.config.replacen("[admin]", "heartbeat = \"100ms\"\n[admin]", 1);
    world.model("far", pair.1, &upstream, "", "");
    world.route("r", "model = \"far\"");
    let dimmer = world.start();
    let mut connection = world.open(&dimmer, "r", true);
    let head = connection.head();
    let mut framing = head.framing("POST");
    let mut come = String::new();
    while !come.contains("\n\n: \n\n") {
        match connection.piece(&mut framing) {
            crate::harness::Piece::Data(data) => come += &String::from_utf8_lossy(&data),
            other => panic!("{other:?} after {come}"),
        }
    }
}

/// An answer that grows out of shape ends as the caller's API ends one.
#[test]
fn a_stream_is_ended_in_flight_in_the_callers_words() {
    for (api, spoken) in PAIRS {
        for piece in [7, 300, 4096] {
            let upstream = Upstream::new(move |peer, _| {
                let delta = spoken.events().iter().find(|event| event.contains("Hello")).unwrap();
                let mut text: String =
                    spoken.events().iter().take_while(|event| !event.contains("Hello")).copied().collect();
                (0..200).for_each(|number| text += &delta.replacen("Hello", &format!("word {number} "), 1));
                peer.write(STREAM_HEAD);
                for piece in text.as_bytes().chunks(piece) {
                    if !peer.write(chunk(piece)) {
                        return After::Close;
                    }
                }
                After::Hang
            });
            let mut world = super::World::new(api);
            world.model("far", spoken, &upstream, "", "");
            world.more("[breakers.b]\nmax_output_chars = 100\n");
            world.route("r", "model = \"far\"\nbreaker = \"b\"");
            let dimmer = world.start();
            let answer = world.ask(&dimmer, "r", true);
            let stream = answer.text();
            assert!(answer.complete, "{api:?}: a proper end: {stream}");
            let end = match api {
                Api::Chat | Api::Completions => "\"finish_reason\":\"length\"",
                Api::Messages => "\"stop_reason\":\"max_tokens\"",
                Api::Responses => "\"reason\":\"max_output_tokens\"",
            };
            assert!(stream.contains(end), "{api:?} in pieces of {piece}: {stream}");
            assert!(streamed_text(api, &stream).len() > 100, "{api:?}: {stream}");
            if api == Api::Responses {
                let numbers: Vec<u64> = super::events(&stream)
                    .iter()
                    .filter_map(|event| event["sequence_number"].as_u64())
                    .collect();
                assert!(
                    numbers.iter().enumerate().all(|(place, number)| *number == place as u64),
                    "{numbers:?}"
                );
            }
            upstream.wait_closed(1);
        }
    }
}
