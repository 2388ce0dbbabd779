//! Pages of lists, and the shapes of both APIs.

use serde_json::json;

use super::{ListPage, ListedModel, model_entry, model_list};
use crate::wire::Dialect;

fn models() -> Vec<ListedModel<'static>> {
    ["a", "b", "c", "d"].map(|id| ListedModel { id, owned_by: "us" }).to_vec()
}

#[test]
fn pages_follow_on_each_other() {
    let check = |query: &str, ids: &[&str], more: bool| {
        let list = model_list(Dialect::Anthropic, &models(), ListPage::of(Some(query)));
        let shown: Vec<&str> =
            list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert_eq!((shown.as_slice(), &list["has_more"]), (ids, &json!(more)), "{query}");
        assert_eq!(list["first_id"], json!(ids.first()), "{query}");
        assert_eq!(list["last_id"], json!(ids.last()), "{query}");
    };
    check("", &["a", "b", "c", "d"], false);
    check("limit=1000&beta=true", &["a", "b", "c", "d"], false);
    check("limit=2", &["a", "b"], true);
    check("limit=2&after_id=b", &["c", "d"], false);
    check("limit=1&after_id=b", &["c"], true);
    check("after_id=d", &[], false);
    check("after_id=unknown", &[], false);
    check("limit=2&before_id=d", &["b", "c"], true);
    check("limit=9&before_id=c", &["a", "b"], false);
    check("limit=0", &["a"], true);
    check("limit=-1&limit", &["a", "b", "c", "d"], false);
}

#[test]
fn ids_in_a_query_are_escaped() {
    let models = ["a", "team/b", "c d", "ü", "e%2Ff", "+"].map(|id| ListedModel { id, owned_by: "us" });
    let check = |query: &str, first: Option<&str>| {
        let list = model_list(Dialect::Anthropic, &models, ListPage::of(Some(query)));
        assert_eq!(list["first_id"], json!(first), "{query}");
    };
    check("after_id=team%2Fb", Some("c d"));
    check("after_id=team%2fb", Some("c d"));
    check("after_id=team/b", Some("c d"));
    check("after_id=c+d", Some("ü"));
    check("after_id=c%20d", Some("ü"));
    check("after_id=%C3%BC", Some("e%2Ff"));
    check("after_id=e%252Ff", Some("+"));
    check("before_id=%2B&limit=1", Some("e%2Ff"));
    check("after_id=team%2", None);
    // What is no text is as good as nothing said.
    check("after_id=%FF", Some("a"));
}

#[test]
fn each_api_has_its_shape() {
    let of_openai = model_list(Dialect::OpenAi, &models(), ListPage::of(Some("limit=1")));
    assert_eq!(of_openai["data"].as_array().unwrap().len(), 4, "OpenAI's list has no pages");
    assert_eq!(
        model_entry(Dialect::OpenAi, &models()[0]),
        json!({"id": "a", "object": "model", "created": 1_767_225_600, "owned_by": "us"})
    );
    assert_eq!(
        model_entry(Dialect::Anthropic, &models()[0]),
        json!({"type": "model", "id": "a", "display_name": "a", "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": "active"})
    );
}
