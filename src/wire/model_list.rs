//! Lists of models, `GET /v1/models` and `GET /v1/models/ID`, in the shape of each API.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Value, json};

use super::Dialect;
use super::escapes::query_value;

/// One model of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedModel<'a> {
    /// What a request says in `model`.
    pub id: &'a str,
    /// Who it is of (OpenAI's dialect only).
    pub owned_by: &'a str,
}

/// What a list's query asks for. Only Anthropic's API knows pages; OpenAI's list is always whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage<'a> {
    /// At most so many.
    pub limit: Option<usize>,
    /// Only what comes after this id.
    pub after: Option<Cow<'a, str>>,
    /// Only what comes before this id.
    pub before: Option<Cow<'a, str>>,
}

/// When every model was made, as far as a list says: nothing reads it, but a list must not change from replica to replica
/// and from start to start while its configuration does not.
const CREATED: u64 = 1_767_225_600;

/// The same moment, as Anthropic's API writes it.
const CREATED_AT: &str = "2026-01-01T00:00:00Z";

/// How many Anthropic's API gives when nobody says, and the most that it gives.
const LIMIT: usize = 20;
const LIMIT_MAX: usize = 1000;

impl<'a> ListPage<'a> {
    /// Reads `limit`, `after_id` and `before_id`. A value that makes no sense is as good as none.
    pub fn of(query: Option<&'a str>) -> Self {
        let mut page = Self::default();
        for (name, value) in query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "limit" => page.limit = value.parse().ok(),
                "after_id" => page.after = query_value(value),
                "before_id" => page.before = query_value(value),
                _ => {}
            }
        }
        page
    }

    /// The part of `models` that this page shows, and whether there is more in the direction that it reads.
    fn of_all<'m>(&self, models: &'m [ListedModel<'_>]) -> (&'m [ListedModel<'m>], bool) {
        let limit = self.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
        let place = |id: &str| models.iter().position(|model| model.id == id);
        let (start, end) = match (self.after.as_deref(), self.before.as_deref()) {
            (Some(after), _) => (place(after).map_or(models.len(), |at| at + 1), models.len()),
            (None, Some(before)) => (0, place(before).unwrap_or(0)),
            (None, None) => (0, models.len()),
        };
        let more = end.saturating_sub(start) > limit;
        let backwards = self.after.is_none() && self.before.is_some();
        let (start, end) = match (more, backwards) {
            (false, _) => (start, end),
            (true, false) => (start, start + limit),
            (true, true) => (end - limit, end),
        };
        (models.get(start..end).unwrap_or_default(), more)
    }
}

/// The body of a list, as `application/json`.
pub fn model_list(dialect: Dialect, models: &[ListedModel<'_>], page: ListPage<'_>) -> Value {
    match dialect {
        Dialect::OpenAi => {
            let data: Vec<Value> = models.iter().map(|model| model_entry(dialect, model)).collect();
            json!({"object": "list", "data": data})
        }
        Dialect::Anthropic => {
            let (shown, more) = page.of_all(models);
            let data: Vec<Value> = shown.iter().map(|model| model_entry(dialect, model)).collect();
            let id = |model: Option<&ListedModel<'_>>| model.map(|model| model.id.to_owned());
            json!({"data": data, "has_more": more, "first_id": id(shown.first()), "last_id": id(shown.last())})
        }
    }
}

/// The body of one entry, as `application/json`.
pub fn model_entry(dialect: Dialect, model: &ListedModel<'_>) -> Value {
    match dialect {
        Dialect::OpenAi => {
            json!({"id": model.id, "object": "model", "created": CREATED, "owned_by": model.owned_by})
        }
        Dialect::Anthropic => json!({
            "type": "model",
            "id": model.id,
            "display_name": model.id,
            "created_at": CREATED_AT,
            "lifecycle": "active",
        }),
    }
}
