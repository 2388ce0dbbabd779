//! Corners: cut answers, uploads that nobody takes, odd spellings of paths, what is counted of what went wrong.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{
    Answer, Connection, DIMMER, Dimmer, TEST_KEY, listeners, post_json, request, wait_until,
};
use crate::upstreams::{After, Api, Upstream, hangs_before_head, json};

const CHAT: &str = "/v1/chat/completions";
const JSON: &str = "content-type: application/json\r\n";

fn config(server: &str, upstream: &Upstream) -> String {
    let at = upstream.address;
    listeners(server)
        + &format!(
            "[providers.p]\ndialect = \"openai\"\nbase_url = \"http://{at}/v1\"\napi_key = \"${{TEST_KEY}}\"\n\
             timeouts = {{ first_byte = {{ stream = \"2s\", whole = \"2s\" }}, idle = \"2s\" }}\n\
             [providers.a]\ndialect = \"anthropic\"\nbase_url = \"http://{at}\"\n\
             [models.m-1]\nprovider = \"p\"\n[models.c-1]\nprovider = \"a\"\n\
             [flags.which]\nowner = \"o\"\npermanent = true\ndefault = \"as_sent\"\n\
             [[flags.which.rules]]\nname = \"crossed\"\nwhen = {{ targeting_key = \"crossed\" }}\nserve = \"c-1\"\n\
             [flags.on]\nowner = \"o\"\npermanent = true\ndefault = false\n\
             [routes.r]\npath = \"/r\"\nprovider = [\"p\", \"a\"]\nmodel.flag = \"which\"\n\
             [routes.off]\npath = \"/off\"\nprovider = [\"p\"]\nenabled.flag = \"on\"\n\
             [routes.only]\npath = \"/only\"\nprovider = [\"p\"]\nmodels = [\"m-1\"]\n"
        )
}

fn chat(dimmer: &Dimmer, headers: &str, stream: bool) -> Answer {
    request(
        dimmer.data,
        "POST",
        &format!("/r{CHAT}"),
        &format!("{JSON}{headers}"),
        Api::Chat.ask(stream).as_bytes(),
    )
}

/// Answers with these bytes and says goodbye.
fn says(bytes: &'static str) -> Upstream {
    Upstream::new(move |peer, _| peer.then(bytes, After::Close))
}

fn good() -> Upstream {
    Upstream::new(|peer, _| peer.then(json("200 OK", Api::Chat.whole()), After::KeepAlive))
}

#[test]
fn half_a_json_answer_whose_end_only_the_connection_tells_is_not_whole() {
    let upstream = says(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"id\":\"chatcmpl-1\",\"choices\":[{\"in",
    );
    let dimmer = Dimmer::start(&config("", &upstream));
    assert!(!chat(&dimmer, "", false).complete, "half a JSON text came with a clean end");
}

#[test]
fn a_stream_in_an_odd_transfer_coding_that_is_cut_does_not_end_politely() {
    let upstream = says(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: identity\r\n\r\n\
         data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n",
    );
    let dimmer = Dimmer::start(&config("", &upstream));
    let answer = chat(&dimmer, "", true);
    assert!(answer.status != 200 || !answer.complete, "{} came with a clean end", answer.text());
}

#[test]
fn an_upload_that_the_provider_does_not_take_is_not_held_for_ever() {
    let upstream = Upstream::on_accept(|peer| {
        peer.request_head();
        peer.pause(Duration::from_secs(60));
        After::Close
    });
    // What the caller sent last may lie before the end of its bytes, where nobody sees it: then time has to tell.
    let dimmer = Dimmer::start(&config("[server.limits]\nbody_timeout = \"2s\"", &upstream));
    let mut connection = Connection::open(dimmer.data);
    connection.send(b"POST /r/v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 500000000\r\n\r\n");
    let mut writer = connection.twin();
    let uploading = std::thread::spawn(move || while writer.try_send(&[b'x'; 65_536]) {});
    wait_until("the upload reaches the provider", || upstream.connections() == 1);
    std::thread::sleep(Duration::from_secs(2));
    connection.reset();
    let in_flight = || dimmer.metrics().metric("dimmer_in_flight_requests", &[("route", "r")]);
    wait_until("the caller's going is felt, or some time is up", || in_flight() == 0.0);
    uploading.join().unwrap();
}

#[test]
fn a_connection_that_never_spoke_does_not_hold_the_drain() {
    let mut dimmer = Dimmer::start(&config("", &good()));
    let _silent = Connection::open(dimmer.data);
    assert_eq!(chat(&dimmer, "", false).status, 200);
    let begun = Instant::now();
    dimmer.terminate();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn a_decision_that_ends_in_an_error_is_told_and_counted() {
    let dimmer = Dimmer::start(&config("", &good()));
    let headers = format!("{JSON}x-user-id: crossed\r\n");
    // Nothing of the other API means what it asks.
    let body = Api::Completions.ask(false);
    let answer = request(dimmer.data, "POST", "/r/v1/completions", &headers, body.as_bytes());
    assert_eq!(answer.status, 400);
    let counted =
        || dimmer.metrics().metric("dimmer_variant_requests_total", &[("flag", "which"), ("variant", "c-1")]);
    wait_until("the variant's error is counted", || counted() == 1.0);
}

#[test]
fn a_request_without_a_route_is_counted_too() {
    let dimmer = Dimmer::start(&config("", &good()));
    assert_eq!(post_json(dimmer.data, "/nowhere/v1/chat/completions", "{}").status, 404);
    wait_until("it is counted", || dimmer.metrics().metric("dimmer_requests_total", &[]) == 1.0);
}

#[test]
fn tokens_told_before_the_caller_went_away_are_counted() {
    let upstream = Upstream::new(|peer, _| {
        peer.write(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        );
        peer.write(crate::upstreams::chunk(
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\
             \"role\":\"assistant\",\"model\":\"c-1\",\"content\":[],\"usage\":{\"input_tokens\":5000,\"output_tokens\":1}}}\n\n",
        ));
        After::Hang
    });
    let dimmer = Dimmer::start(&config("", &upstream));
    let mut connection = Connection::open(dimmer.data);
    let ask = Api::Messages.ask(true).replace("m-1", "c-1");
    connection.send_request("POST", "/r/v1/messages", JSON, ask.as_bytes());
    assert_eq!(connection.head().status, 200);
    std::thread::sleep(Duration::from_millis(300));
    connection.reset();
    let metric = |name: &str, labels: &[(&str, &str)]| dimmer.metrics().metric(name, labels);
    wait_until("it is counted", || metric("dimmer_requests_total", &[("outcome", "cancelled")]) == 1.0);
    assert_eq!(metric("dimmer_tokens_total", &[("kind", "input")]).to_string(), "5000");
}

#[test]
fn explain_says_that_a_route_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.toml");
    std::fs::write(&file, config("", &Upstream::nowhere())).unwrap();
    let output = Command::new(DIMMER)
        .args(["explain", "--route", "off", "--config"])
        .arg(&file)
        .env("TEST_KEY", TEST_KEY)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("the model that the app asks for"), "{text}");
}

#[test]
fn a_missing_file_that_comes_mends_the_configuration() {
    let upstream = good();
    let mut dimmer = Dimmer::start(&config("", &upstream));
    dimmer.expect_log("the configuration is wrong");
    let reloads =
        |result: &str| dimmer.metrics().metric("dimmer_config_reloads_total", &[("result", result)]);
    // Once the admin listener answers, the files are watched.
    assert_eq!(reloads("ok").to_string(), "1");
    dimmer.write_config(&(config("", &upstream) + "[prompts.x]\nfile = \"later/x.md\"\n[routes.x]\npath = \"/x\"\nprovider = [\"p\"]\nsystem_prompt = \"x\"\n"));
    wait_until("it is refused", || reloads("error") > 0.0);
    std::fs::create_dir(dimmer.folder().join("later")).unwrap();
    std::fs::write(dimmer.folder().join("later/x.md"), "Be kind.").unwrap();
    wait_until("it is taken", || reloads("ok") > 1.0);
}

#[test]
fn a_change_made_while_the_gateway_starts_is_not_lost() {
    let upstream = good();
    let dimmer = Dimmer::start(&config("", &upstream));
    // It has said where it listens, and nothing has been asked of it yet.
    dimmer.write_config(&(config("", &upstream) + "[routes.x]\npath = \"/x\"\nprovider = [\"p\"]\n"));
    wait_until("the change is taken", || {
        dimmer.metrics().metric("dimmer_config_reloads_total", &[("result", "ok")]) > 1.0
    });
}

#[test]
fn another_spelling_of_a_generation_path_passes_no_guard() {
    let upstream = good();
    let dimmer = Dimmer::start(&config("", &upstream));
    for path in ["/only/v1/chat/completions", "/only/v1/chat/%63ompletions", "/only/v1//chat/completions"] {
        let answer = post_json(dimmer.data, path, "{\"model\":\"not-admitted\",\"messages\":[]}");
        assert!(answer.status >= 400, "{path} reached the provider with the gateway's key");
    }
}

#[test]
fn the_key_of_our_own_door_is_not_sent_on() {
    let upstream = good();
    let toml = config("", &upstream).replace("api_key = \"${TEST_KEY}\"", "forward_client_key = true")
        + "[clients.c]\nkey = \"${TEST_KEY}\"\n";
    let dimmer = Dimmer::start(&toml);
    let headers = format!("x-dimmer-key: {TEST_KEY}\r\nauthorization: Bearer {TEST_KEY}\r\n");
    request(dimmer.data, "POST", "/r/v1/files", &headers, b"x");
    assert_eq!(upstream.last().values("authorization").concat(), "");
}

#[test]
fn total_ends_a_stream_that_never_pauses() {
    let upstream = crate::upstreams::firehose(Api::Chat);
    let toml = config("", &upstream).replace("idle = \"2s\" }", "idle = \"2s\", total = \"2s\" }");
    let dimmer = Dimmer::start(&toml);
    let mut connection = Connection::open(dimmer.data);
    connection.send_request("POST", &format!("/r{CHAT}"), JSON, Api::Chat.ask(true).as_bytes());
    let mut framing = connection.head().framing("POST");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        match connection.piece(&mut framing) {
            crate::harness::Piece::Data(_) => std::thread::sleep(Duration::from_millis(5)),
            _ => return,
        }
        // What lies in the sockets' buffers still comes, long after the gateway has let go.
        if dimmer.metrics().metric("dimmer_requests_total", &[("outcome", "timeout")]) == 1.0 {
            return;
        }
    }
    panic!("still streaming after {:?}", begun.elapsed());
}

#[test]
fn a_caller_that_sent_one_byte_too_many_is_felt_when_it_goes() {
    let upstream = hangs_before_head();
    let toml = config("", &upstream).replace("\"2s\"", "\"60s\"");
    let dimmer = Dimmer::start(&toml);
    let mut connection = Connection::open(dimmer.data);
    let ask = Api::Chat.ask(false);
    connection.send_request("POST", &format!("/r{CHAT}"), JSON, ask.as_bytes());
    connection.send(b"\r\n");
    wait_until("it reaches the provider", || upstream.requests().len() == 1);
    drop(connection);
    upstream.wait_closed(1);
}
