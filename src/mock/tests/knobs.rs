//! A model that goes wrong while it serves.

use serde_json::Value;

use super::{CHAT, asked, calm, mock, post, said};
use crate::mock::{Mock, MockProvider};

fn words(mock: &Mock, model: &str) -> usize {
    let mut body = asked("How do I rename a branch?");
    body["model"] = Value::from(model);
    said(&post(mock, CHAT, &body).json()).split_whitespace().count()
}

#[test]
fn a_model_can_be_turned_while_it_serves_and_settles_again() {
    let mock = mock(calm());
    let sim = "sim".into();
    let (usual, other) = (words(&mock, "m-1"), words(&mock, "m-2"));
    assert!(mock.turn(&sim, "m-1", |model| model.words *= 8.0));
    let long = words(&mock, "m-1");
    assert!(long > usual * 4, "{long} of {usual}");
    assert_eq!(words(&mock, "m-2"), other, "the others stay as they are");
    mock.settle();
    assert_eq!(words(&mock, "m-1"), usual);
}

#[test]
fn what_was_turned_outlives_a_reload_and_can_be_turned_further() {
    let mock = mock(calm());
    let sim = "sim".into();
    let usual = words(&mock, "m-1");
    assert!(mock.turn(&sim, "m-1", |model| model.words *= 8.0));
    let long = words(&mock, "m-1");
    let models = vec![("m-1".to_owned(), calm())];
    mock.update(vec![MockProvider { name: "sim".into(), seed: 7, models }]);
    assert_eq!(words(&mock, "m-1"), long);
    assert!(mock.turn(&sim, "m-1", |model| model.errors = 1.0));
    assert_eq!(post(&mock, CHAT, &asked("Anything?")).status, 500);
    assert!(mock.turn(&sim, "m-1", |model| model.errors = 0.0));
    assert_eq!(words(&mock, "m-1"), long, "one knob leaves the other");
    mock.settle();
    assert_eq!(words(&mock, "m-1"), usual, "as it is configured now");
}

#[test]
fn nobody_turns_what_is_not_there() {
    let mock = mock(calm());
    for (provider, model) in [("sim", "m-9"), ("nobody", "m-1")] {
        assert!(!mock.turn(&provider.into(), model, |model| model.words = 1.0), "{provider} {model}");
    }
}
