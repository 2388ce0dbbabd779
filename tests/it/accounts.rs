//! What a provider holds is the account's that made it: the simulated provider shows whether a request came to it.

use serde_json::{Value, json};

use crate::harness::{Answer, Dimmer, Simulated, listeners, request};

/// Two accounts at one provider, and another provider.
fn start(simulated: &Simulated) -> Dimmer {
    let part = |name: &str, provider: &str, key: &str| {
        format!(
            "[providers.{name}]\ndialect = \"openai\"\nbase_url = \"http://{}/{provider}/v1\"\napi_key = \"${{{key}}}\"\n\
             [routes.{name}]\npath = \"/{name}\"\nprovider = \"{name}\"\n",
            simulated.address
        )
    };
    let config = listeners("")
        + &part("first", "one", "FIRST_KEY")
        + &part("second", "one", "SECOND_KEY")
        + &part("other", "two", "FIRST_KEY");
    Dimmer::start_with(&config, &[("FIRST_KEY", "sk-first"), ("SECOND_KEY", "sk-second")])
}

fn send(dimmer: &Dimmer, method: &str, target: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    request(dimmer.data, method, target, "content-type: application/json\r\n", body.as_bytes())
}

#[test]
fn state_is_found_where_it_was_made() {
    let simulated = Simulated::start(&["one", "two"]);
    let dimmer = start(&simulated);
    let asked = json!({"model": "one-model", "input": "Hi"});
    let made = send(&dimmer, "POST", "/first/v1/responses", &asked).json();
    let id = made["id"].as_str().unwrap();
    for (route, model, status) in [("first", "one", 200), ("second", "one", 404), ("other", "two", 404)] {
        let got = send(&dimmer, "GET", &format!("/{route}/v1/responses/{id}"), &Value::Null);
        assert_eq!(got.status, status, "{route}: {}", got.text());
        let follow =
            json!({"model": format!("{model}-model"), "input": "And?", "previous_response_id": made["id"]});
        let followed = send(&dimmer, "POST", &format!("/{route}/v1/responses"), &follow);
        let code = (status == 404).then_some("previous_response_not_found");
        assert_eq!(followed.code().as_deref(), code, "{route}: {}", followed.text());
    }
}
