//! The tap against Completions: text in the choice itself, the rest as in Chat Completions.

use super::{Facts, Finish, Tap, check, facts, named};
use crate::wire::{Endpoint, Usage};

fn completions(events: &[&str], expected: &Facts) {
    for end in ["\n\n", "\r\n\r\n", "\r\r"] {
        let stream: String = events.iter().map(|event| format!("data: {event}{end}")).collect();
        check(|| Tap::stream(Endpoint::Completions), &stream, expected);
    }
}

fn chunk(text: &str, finish: &str) -> String {
    format!(
        r#"{{"id":"cmpl-1","object":"text_completion","created":1,"choices":[{{"text":"{text}","index":0,"logprobs":null,"finish_reason":{finish}}}],"model":"davinci","usage":null}}"#
    )
}

#[test]
fn a_stream() {
    let known = Facts { answer_id: named("cmpl-1"), answered_model: named("davinci"), ..facts() };
    completions(&[&chunk("", "null")], &known);
    let text = Facts { output_chars: 7, content_started: true, ..known };
    let chunks = [chunk("Once", "null"), chunk(" é😀", "null"), chunk("", "null"), chunk("", "\"stop\"")];
    completions(&[&chunks[0], &chunks[1], &chunks[2]], &text);
    let stopped = Facts { finish: Some(Finish::Stop), ..text };
    let chunks = chunks.each_ref().map(String::as_str);
    completions(&chunks, &stopped);
    let usage = r#"{"id":"cmpl-1","object":"text_completion","choices":[],"model":"davinci","usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4}}}"#;
    let complete = Facts {
        usage: Some(Usage { input: 5, cache_read: 4, output: 3, ..Usage::default() }),
        usage_final: true,
        complete: true,
        ..stopped
    };
    completions(&[&chunks[..], &[usage, "[DONE]", chunks[0]]].concat(), &complete);
}

#[test]
fn ends_and_errors() {
    for (reason, finish) in
        [("length", Finish::Length), ("content_filter", Finish::Refusal), ("of_tomorrow", Finish::Other)]
    {
        let chunk = format!(
            r#"{{"choices":[{{"text":"ab","finish_reason":"{reason}"}},{{"text":"c","finish_reason":null}}]}}"#
        );
        let expected = Facts { finish: Some(finish), output_chars: 3, content_started: true, ..facts() };
        completions(&[&chunk], &expected);
    }
    let error = r#"{"error":{"message":"m","type":"server_error","param":null,"code":"c"}}"#;
    let expected =
        Facts { error: true, error_type: named("server_error"), error_code: named("c"), ..facts() };
    completions(&[error], &expected);
    completions(&[r#"{"choices":[{"text":"abc"}]"#, "{\"choices\":[{\"text\":null}]}"], &facts());
}

#[test]
fn a_whole_answer() {
    let answer = r#"{"id":"cmpl-1","object":"text_completion","created":1,"model":"davinci","choices":[{"text":"Once é","index":0,"logprobs":{"tokens":["Once"],"text_offset":[0]},"finish_reason":"length"},{"text":"x","index":1,"finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#;
    let expected = Facts {
        answer_id: named("cmpl-1"),
        answered_model: named("davinci"),
        output_chars: 7,
        content_started: true,
        finish: Some(Finish::Length),
        usage: Some(Usage { input: 9, output: 3, ..Usage::default() }),
        usage_final: true,
        complete: true,
        ..facts()
    };
    check(|| Tap::whole(Endpoint::Completions), answer, &expected);
}
