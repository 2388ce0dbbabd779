//! Paths: with and without `/v1`, twice `/v1`, dot segments, and whose dialect a path is.

use http::Request;
use http::request::Parts;

use crate::proxy::identify::path;
use crate::wire::{Dialect, Endpoint, ErrorCode};

fn parts(method: &str, uri: &str, anthropic: bool) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    if anthropic {
        request = request.header("anthropic-version", "2023-06-01");
    }
    request.body(()).expect("a request").into_parts().0
}

#[test]
fn a_path_is_one_call_with_and_without_v1() {
    let check = |line: &str, start: usize, want: Endpoint, rest: &str| {
        let (method, uri) = line.split_once(' ').expect("METHOD PATH");
        let parts = parts(method, uri, false);
        let place = path::place(&parts, start).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!((place.endpoint, uri.get(place.rest)), (want, Some(rest)), "{line}");
    };
    let openai = Endpoint::Other(Dialect::OpenAi);
    let anthropic = Endpoint::Other(Dialect::Anthropic);
    check("POST /v1/chat/completions", 0, Endpoint::Chat, "/chat/completions");
    check("POST /chat/completions", 0, Endpoint::Chat, "/chat/completions");
    check("GET /v1/chat/completions", 0, openai, "/chat/completions");
    check("POST /a/b/v1/messages", 4, Endpoint::Messages, "/messages");
    check("POST /messages", 0, Endpoint::Messages, "/messages");
    check("POST /v1/messages/count_tokens", 0, Endpoint::CountTokens, "/messages/count_tokens");
    check("GET /v1/messages/batches", 0, anthropic, "/messages/batches");
    check("POST /v1/responses", 0, Endpoint::Responses, "/responses");
    check("POST /v1/responses/input_tokens", 0, Endpoint::InputTokens, "/responses/input_tokens");
    check("POST /v1/responses/compact", 0, Endpoint::Compact, "/responses/compact");
    check("GET /v1/responses/resp_1", 0, openai, "/responses/resp_1");
    check("POST /v1/responses/resp_1/cancel", 0, openai, "/responses/resp_1/cancel");
    check("POST /v1/completions", 0, Endpoint::Completions, "/completions");
    check("POST /v1/embeddings", 0, Endpoint::Embeddings, "/embeddings");
    check("POST /v1/chat/completions/", 0, openai, "/chat/completions/");
    check("POST /v1x/chat/completions", 0, openai, "/v1x/chat/completions");
    check("GET /v1", 0, openai, "");
    check("GET /", 0, openai, "/");
    check("GET /v1/files/a%2Fb", 0, openai, "/files/a%2Fb");
    check("GET /v1/files/a..b", 0, openai, "/files/a..b");
}

#[test]
fn a_version_header_makes_a_shared_path_anthropics() {
    let place = path::place(&parts("GET", "/v1/models", true), 0).expect("a path");
    assert_eq!(place.endpoint, Endpoint::Other(Dialect::Anthropic));
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_remedy() {
    let check = |uri: &str, start: usize, code: ErrorCode, says: &str| {
        let error = path::place(&parts("POST", uri, false), start).expect_err(uri);
        assert_eq!(error.code, code, "{uri}");
        assert!(error.message.contains(says), "{uri}: {}", error.message);
    };
    check("/v1/v1/messages", 0, ErrorCode::WrongBaseUrl, "ends in the port");
    check("/assistant/v1/v1/messages", 10, ErrorCode::WrongBaseUrl, "ends in /assistant");
    check("/v1/../admin", 0, ErrorCode::BadRequest, "`..`");
    check("/v1/files/%2e%2E/x", 0, ErrorCode::BadRequest, "`..`");
    check("/v1/./x", 0, ErrorCode::BadRequest, "`..`");
    check("/v1/..%2f..%2fadmin", 0, ErrorCode::BadRequest, "`..`");
    check("/v1/%252e%252e/admin", 0, ErrorCode::BadRequest, "`..`");
    check("/v1/a\\..\\b", 0, ErrorCode::BadRequest, "`..`");
    check("/v1/chat/%63ompletions", 0, ErrorCode::BadRequest, "another one");
    check("/v1//chat/completions", 0, ErrorCode::BadRequest, "another one");
    check("//v1/messages", 0, ErrorCode::BadRequest, "another one");
}
