//! Error bodies in both dialects, and the page that explains the codes.

use serde_json::{Value, json};

use super::*;

const PAGE: &str = include_str!("../../../docs/errors.md");

fn parts(status: u16) -> ErrorParts<'static> {
    ErrorParts {
        status,
        code: "dimmer_no_route",
        message: "no route \"x\"\nknown: a, b",
        param: Some("model"),
        request_id: "r-1",
    }
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("an error body is JSON")
}

#[test]
fn bodies_have_the_shape_of_the_dialect() {
    let openai = json!({
        "error": {
            "message": "no route \"x\"\nknown: a, b",
            "type": "invalid_request_error",
            "param": "model",
            "code": "dimmer_no_route",
        },
    });
    assert_eq!(json_of(&error_body(Dialect::OpenAi, &parts(404))), openai);
    let without = ErrorParts { param: None, ..parts(404) };
    assert_eq!(json_of(&error_body(Dialect::OpenAi, &without))["error"]["param"], Value::Null);
    let anthropic = json!({
        "type": "error",
        "error": {
            "type": "not_found_error",
            "message": "no route \"x\"\nknown: a, b",
            "details": { "error_code": "dimmer_no_route" },
        },
        "request_id": "r-1",
    });
    assert_eq!(json_of(&error_body(Dialect::Anthropic, &parts(404))), anthropic);
}

#[test]
fn events_are_one_line_of_data() {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    for (endpoint, start) in [
        (Endpoint::Chat, "data: "),
        (Endpoint::Completions, "data: "),
        (Endpoint::Other(Dialect::OpenAi), "data: "),
        (Endpoint::Messages, "event: error\ndata: "),
        (Endpoint::Other(Dialect::Anthropic), "event: error\ndata: "),
    ] {
        let body = text(error_body(endpoint.dialect(), &parts(504)));
        assert!(!body.contains('\n'), "a line end would cut the data");
        assert_eq!(text(error_event(endpoint, &parts(504), 7)), format!("{start}{body}\n\n"));
    }
}

#[test]
fn a_response_numbers_its_error_event() {
    let event = String::from_utf8(error_event(Endpoint::Responses, &parts(504), 7)).expect("UTF-8");
    let data = event.strip_prefix("event: error\ndata: ").and_then(|rest| rest.strip_suffix("\n\n"));
    let expected = json!({
        "type": "error",
        "code": "dimmer_no_route",
        "message": "no route \"x\"\nknown: a, b",
        "param": "model",
        "sequence_number": 7,
    });
    assert_eq!(json_of(data.expect("one named event").as_bytes()), expected);
    assert!(!data.unwrap_or_default().contains('\n'), "a line end would cut the data");
}

#[test]
fn the_type_follows_the_status() {
    let cases = [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "invalid_request_error", "authentication_error"),
        (402, "invalid_request_error", "billing_error"),
        (403, "invalid_request_error", "permission_error"),
        (404, "invalid_request_error", "not_found_error"),
        (408, "invalid_request_error", "timeout_error"),
        (413, "invalid_request_error", "request_too_large"),
        (415, "invalid_request_error", "invalid_request_error"),
        (426, "invalid_request_error", "invalid_request_error"),
        (429, "requests", "rate_limit_error"),
        (431, "invalid_request_error", "invalid_request_error"),
        (500, "server_error", "api_error"),
        (502, "server_error", "api_error"),
        (503, "server_error", "overloaded_error"),
        (504, "server_error", "timeout_error"),
        (529, "server_error", "overloaded_error"),
    ];
    for (status, openai, anthropic) in cases {
        assert_eq!(error_type(Dialect::OpenAi, status, "code"), openai, "{status}");
        assert_eq!(error_type(Dialect::Anthropic, status, "code"), anthropic, "{status}");
    }
}

#[test]
fn codes_are_distinct_and_have_our_prefix_or_are_the_vendors_own() {
    let names: std::collections::BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), ErrorCode::ALL.len());
    assert_eq!(ErrorCode::Internal as usize + 1, ErrorCode::ALL.len());
    for (place, code) in ErrorCode::ALL.into_iter().enumerate() {
        assert_eq!(code as usize, place, "a code is missing in ALL");
        let vendors = matches!(
            code,
            ErrorCode::PreviousResponseNotFound
                | ErrorCode::ConversationNotFound
                | ErrorCode::ThreadNotFound
                | ErrorCode::ThreadUnsupported
                | ErrorCode::StoredNotFound
        );
        assert_ne!(code.as_str().starts_with("dimmer_"), vendors, "{code:?}");
        assert!((400..600).contains(&code.status()));
    }
}

/// The table of the page, row by row, is what the code does.
#[test]
fn the_page_lists_exactly_these_codes() {
    let rows: Vec<Vec<&str>> = PAGE
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    let told: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().take(5).map(|cell| (*cell).to_owned()).collect()).collect();
    let expected: Vec<Vec<String>> = ErrorCode::ALL
        .iter()
        .map(|code| {
            let status = code.status();
            vec![
                code.as_str().to_owned(),
                status.to_string(),
                error_type(Dialect::OpenAi, status, code.as_str()).to_owned(),
                error_type(Dialect::Anthropic, status, code.as_str()).to_owned(),
                if code.retry_helps() { "—" } else { "false" }.to_owned(),
            ]
        })
        .collect();
    assert_eq!(told, expected);
    for row in rows {
        assert_eq!(row.len(), 7, "{row:?}");
        assert!(row[5].len() > 10 && row[6].len() > 10, "a reader needs the meaning and the remedy: {row:?}");
    }
}
