//! A new configuration under load: no request fails, and none sees half of each.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::harness::{Connection, Dimmer, listeners, wait_until};
use crate::upstreams::{After, Api, STREAM_HEAD, Upstream, chunk, json, wants_stream};

/// Names of model and prompt change together: a request with one of each has seen two configurations.
fn config(version: usize, upstream: &Upstream) -> String {
    listeners("")
        + &format!(
            "[providers.p]\ndialect = \"openai\"\nbase_url = \"http://{}/v1\"\n\
             [models.m]\nprovider = \"p\"\nupstream_model = \"model-{version}.\"\n\
             [prompts.s]\ntext = \"prompt-{version}.\"\n\
             [routes.r]\npath = \"/r\"\nmodel = \"m\"\nsystem_prompt = \"s\"\n",
            upstream.address
        )
}

/// Answers with the versions that it reads in the request, slowly enough that reloads fall into answers.
fn echoes_versions() -> Upstream {
    Upstream::new(|peer, request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let version = |name: &str| {
            let after = body.split(&format!("{name}-")).nth(1).unwrap_or("");
            after.split('.').next().unwrap_or("").to_owned()
        };
        let said = format!("model {} prompt {}", version("model"), version("prompt"));
        if !wants_stream(request) {
            return peer
                .then(json("200 OK", Api::Chat.whole().replace("Hello there", &said)), After::KeepAlive);
        }
        peer.write(STREAM_HEAD);
        for event in Api::Chat.events() {
            peer.pause(std::time::Duration::from_millis(2));
            peer.write(chunk(event.replace("Hello", &said)));
        }
        peer.then("0\r\n\r\n", After::KeepAlive)
    })
}

#[test]
fn no_request_fails_and_none_sees_two_versions() {
    let upstream = echoes_versions();
    let dimmer = Dimmer::start(&config(0, &upstream));
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let latest = thread::scope(|scope| {
        for caller in 0..4 {
            let (dimmer, stop, served) = (&dimmer, &stop, &served);
            scope.spawn(move || {
                let mut connection = Connection::open(dimmer.data);
                while !stop.load(Ordering::Relaxed) {
                    let ask = Api::Chat.ask(caller % 2 == 0);
                    let headers = "content-type: application/json\r\n";
                    connection.send_request("POST", "/r/v1/chat/completions", headers, ask.as_bytes());
                    let answer = connection.answer("POST");
                    assert!(answer.status == 200 && answer.complete, "{} {}", answer.status, answer.text());
                    let text = answer.text();
                    let said = text.split("model ").nth(1).unwrap().split('"').next().unwrap();
                    let (model, prompt) = said.split_once(" prompt ").unwrap();
                    assert!(!model.is_empty() && model == prompt, "{said}");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for version in 1..=20 {
            let before = served.load(Ordering::Relaxed);
            dimmer.reload_and_wait(&config(version, &upstream));
            wait_until("requests go on", || served.load(Ordering::Relaxed) > before + 4);
        }
        stop.store(true, Ordering::Relaxed);
        20
    });
    let mut connection = Connection::open(dimmer.data);
    let headers = "content-type: application/json\r\n";
    connection.send_request("POST", "/r/v1/chat/completions", headers, Api::Chat.ask(false).as_bytes());
    assert!(connection.answer("POST").text().contains(&format!("model {latest} prompt {latest}")));
}

#[test]
fn a_bad_configuration_leaves_the_good_one_serving_and_is_said_once() {
    let upstream = echoes_versions();
    let mut dimmer = Dimmer::start(&config(1, &upstream));
    dimmer.expect_log("configuration");
    dimmer.expect_log("routes.toml");
    let failed =
        |dimmer: &Dimmer| dimmer.metrics().metric("dimmer_config_reloads_total", &[("result", "error")]);
    let before = failed(&dimmer);
    dimmer.write_config("[server]\nlisten = 5\n[flags.");
    wait_until("the error is counted", || failed(&dimmer) > before);
    let loud = |dimmer: &Dimmer| {
        dimmer.logs().iter().filter(|line| line.contains("\"ERROR\"") || line.contains("\"WARN\"")).count()
    };
    // Lines are written by a thread of their own.
    wait_until("it is said", || loud(&dimmer) > 0);
    assert!((1..=2).contains(&loud(&dimmer)), "{:#?}", dimmer.logs());
    let mut connection = Connection::open(dimmer.data);
    let headers = "content-type: application/json\r\n";
    connection.send_request("POST", "/r/v1/chat/completions", headers, Api::Chat.ask(false).as_bytes());
    assert!(connection.answer("POST").text().contains("model 1 prompt 1"));
    dimmer.reload_and_wait(&config(2, &upstream));
    connection.send_request("POST", "/r/v1/chat/completions", headers, Api::Chat.ask(false).as_bytes());
    assert!(connection.answer("POST").text().contains("model 2 prompt 2"));
}
