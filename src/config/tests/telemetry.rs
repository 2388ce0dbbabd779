//! `[telemetry]`.

use std::time::Duration;

use super::environment::{BASE, check, loaded, parsed};
use crate::config::TelemetrySpec;

fn telemetry(lines: &str) -> TelemetrySpec {
    loaded(&format!("[telemetry]\n{lines}\n")).telemetry.expect("there is one")
}

#[test]
fn without_an_address_no_traces_are_made() {
    assert_eq!(loaded("").telemetry, None);
    assert_eq!(loaded("[telemetry]\nsample = \"5%\"\n").telemetry, None);
    let plain = telemetry("otlp = \"http://127.0.0.1:4318\"");
    assert_eq!(plain.traces, "http://127.0.0.1:4318/v1/traces");
    assert_eq!((plain.sample, plain.service_name.as_str(), plain.conversations), (1.0, "dimmer", false));
    assert_eq!((plain.tls, plain.timeout), (false, Duration::from_secs(10)));
}

#[test]
fn an_address_is_a_base_or_what_takes_traces() {
    for (otlp, traces) in [
        ("https://otlp.example", "https://otlp.example:443/v1/traces"),
        ("https://otlp.example/otlp/", "https://otlp.example:443/otlp/v1/traces"),
        ("https://otlp.example/otlp/v1/traces", "https://otlp.example:443/otlp/v1/traces"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
    ] {
        assert_eq!(telemetry(&format!("otlp = \"{otlp}\"")).traces, traces);
    }
    check(
        "[telemetry]\notlp = \"127.0.0.1:4318\"\n",
        &[
            r#"2:8: telemetry.otlp: an address starts with http:// or https://: write an address such as "https://api.openai.com/v1""#,
        ],
    );
}

#[test]
fn headers_may_be_secrets_and_stay_so() {
    let spec = telemetry(
        "otlp = \"https://otlp.example\"\nheaders = { authorization = \"${KEY}\", X-Scope-OrgID = \"tenant\" }",
    );
    let fields: Vec<(&str, &str)> =
        spec.headers.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
    assert_eq!(fields, [("authorization", "sk-0123456789"), ("x-scope-orgid", "tenant")]);
    assert!(!format!("{spec:?}").contains("sk-0123456789"));
    assert!(spec.fields().all(|(_, value)| value.is_sensitive()));
}

#[test]
fn what_cannot_be_is_said() {
    check(
        "[telemetry]\notlp = \"http://127.0.0.1:4318\"\nheaders = { \"a b\" = \"x\" }\ntimeout = \"2m\"\n",
        &[
            r#"3:13: telemetry.headers: "a b" is no name of a header field"#,
            r#"4:11: telemetry.timeout: must be from "1s" to "60s""#,
        ],
    );
    check(
        "[telemetry]\nheaders = { host = \"x\", x = \"a\\nb\" }\nattributes = { \"service.name\" = \"x\" }\n",
        &[
            "2:13: telemetry.headers: host is dimmer's own: take it out",
            "2:29: telemetry.headers.x: has characters that cannot stand in a header field",
            "3:16: telemetry.attributes: service.name has a key of its own: write service_name = \"…\"",
        ],
    );
    check(
        "[telemetry]\nheaders = { x = \"${NOT_THERE}\" }\n",
        &[
            "2:17: telemetry.headers.x: the environment variable NOT_THERE is not set: set it, or take the line out",
        ],
    );
    let text = format!("{BASE}[telemetry]\notlp = \"http://otlp.example:4318\"\nheaders = {{ x = \"y\" }}\n");
    let warnings = parsed(&text).unwrap_or_else(|errors| panic!("{}", errors.pretty())).warnings;
    assert!(warnings.iter().any(|line| line.contains("in clear text")), "{warnings:?}");
}
