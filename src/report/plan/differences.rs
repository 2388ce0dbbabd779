//! Everything in which two configurations' files differ, in words: what is written in them, key by key.

use serde_json::{Map, Value};

use super::Change;
use crate::config::Config;

/// All of it, in the order of the file that serves, then what is new.
pub(super) fn of(now: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let empty = Map::new();
    let (was, is) = (now.written.as_object().unwrap_or(&empty), new.written.as_object().unwrap_or(&empty));
    for section in keys(was, is) {
        let (was, is) = (was.get(section), is.get(section));
        match NAMED.iter().find(|(key, _)| *key == section) {
            None => compare(section, "", was, is, &mut changes),
            Some((_, one)) => {
                let (was, is) = (members(was), members(is));
                for name in keys(was.unwrap_or(&empty), is.unwrap_or(&empty)) {
                    let of =
                        |side: Option<&'_ Map<String, Value>>| side.and_then(|side| side.get(name)).cloned();
                    let (was, is) = (of(was), of(is));
                    compare(&format!("{one} `{name}`"), "", was.as_ref(), is.as_ref(), &mut changes);
                }
            }
        }
    }
    texts_of_files(now, new, &mut changes);
    changes
}

/// Whether users may be judged otherwise for something that is no flag's own.
pub(super) fn of_users(now: &Config, new: &Config) -> bool {
    ["context", "clients", "segments"].iter().any(|key| now.written.get(key) != new.written.get(key))
}

/// The tables that hold one table for each name, and what one is called.
const NAMED: [(&str, &str); 11] = [
    ("clients", "client"),
    ("providers", "provider"),
    ("models", "model"),
    ("prompts", "prompt"),
    ("replies", "reply"),
    ("segments", "segment"),
    ("flags", "flag"),
    ("routes", "route"),
    ("breakers", "breaker"),
    ("feedback", "feedback"),
    ("judges", "judge"),
];

fn members(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

/// The keys of both: in the first one's order, then those that only the second has.
fn keys<'m>(was: &'m Map<String, Value>, is: &'m Map<String, Value>) -> Vec<&'m str> {
    let fresh = is.keys().filter(|key| !was.contains_key(*key));
    was.keys().chain(fresh).map(String::as_str).collect()
}

fn compare(what: &str, key: &str, was: Option<&Value>, is: Option<&Value>, changes: &mut Vec<Change>) {
    match (was, is) {
        (None, None) => {}
        (Some(was), Some(is)) if same(was, is) => {}
        // The order of a split is where its slots lie.
        (Some(Value::Object(was)), Some(Value::Object(is))) if !key.ends_with("split") => {
            for name in keys(was, is) {
                compare(what, &inside(key, name), was.get(name), is.get(name), changes);
            }
        }
        (Some(Value::Array(was)), Some(Value::Array(is)))
            if by_name(was).is_some() && by_name(is).is_some() =>
        {
            named(what, key, (was, is), changes);
        }
        (was, is) => changes.push(change(what, key, was, is)),
    }
}

/// Lists of tables whose tables have names, such as a flag's rules: told apart by them, in whatever order.
fn named(what: &str, key: &str, (was, is): (&[Value], &[Value]), changes: &mut Vec<Change>) {
    let (was, is) = (by_name(was).unwrap_or_default(), by_name(is).unwrap_or_default());
    for name in keys(&was, &is) {
        compare(what, &inside(key, name), was.get(name), is.get(name), changes);
    }
    let order = |one: &Map<String, Value>, other: &Map<String, Value>| -> Vec<String> {
        one.keys().filter(|name| other.contains_key(*name)).cloned().collect()
    };
    let (before, after) = (order(&was, &is), order(&is, &was));
    if before != after {
        let said = format!("{what}: the order of {key} was {}, is {}", before.join(", "), after.join(", "));
        changes.push(Change { kind: "changed".to_owned(), what: plain(what), key: key.to_owned(), said });
    }
}

fn by_name(list: &[Value]) -> Option<Map<String, Value>> {
    let mut all = Map::new();
    for one in list {
        let table = one.as_object()?;
        let name = table.get("name")?.as_str()?;
        let rest = table.iter().filter(|(key, _)| *key != "name");
        let rest = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
        if all.insert(name.to_owned(), Value::Object(rest)).is_some() {
            return None;
        }
    }
    Some(all)
}

/// Numbers are the same however they are spelled.
fn same(was: &Value, is: &Value) -> bool {
    match (was, is) {
        (Value::Number(was), Value::Number(is)) => was.as_f64() == is.as_f64(),
        (Value::Array(was), Value::Array(is)) => {
            was.len() == is.len() && was.iter().zip(is).all(|(was, is)| same(was, is))
        }
        (Value::Object(was), Value::Object(is)) => {
            was.len() == is.len()
                && was.iter().zip(is).all(|((name, was), (other, is))| name == other && same(was, is))
        }
        _ => was == is,
    }
}

fn change(what: &str, key: &str, was: Option<&Value>, is: Option<&Value>) -> Change {
    let place = if key.is_empty() { what.to_owned() } else { format!("{what}: {key}") };
    let (kind, said) = match (was, is) {
        (Some(_), None) if key.is_empty() => ("removed", format!("{place} is gone")),
        (None, Some(_)) if key.is_empty() => ("added", format!("{place} is new")),
        (Some(was), None) => ("removed", format!("{place} was {}, and is not said any more", shown(was))),
        (None, Some(is)) => ("added", format!("{place} is {}, and was not said", shown(is))),
        (Some(Value::String(was)), Some(Value::String(is))) if was.len().max(is.len()) > SHOWN_MAX => {
            ("changed", format!("{place} differs: {}", texts(was, is)))
        }
        (Some(was), Some(is)) => ("changed", format!("{place} was {}, is {}", shown(was), shown(is))),
        (None, None) => ("changed", String::new()),
    };
    Change { kind: kind.to_owned(), what: plain(what), key: key.to_owned(), said }
}

/// More of a value is a text to be read elsewhere.
const SHOWN_MAX: usize = 120;

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        None => text,
        Some((end, _)) => {
            format!("{}… ({} characters)", text.get(..end).unwrap_or_default(), text.chars().count())
        }
    }
}

fn texts(was: &str, is: &str) -> String {
    let line = was.lines().zip(is.lines()).take_while(|(was, is)| was == is).count() + 1;
    let (before, after) = (was.chars().count(), is.chars().count());
    format!("{before} characters before, {after} now, from line {line} of the text on")
}

fn inside(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

fn plain(what: &str) -> String {
    what.replace('`', "")
}

/// Prompts whose words stand in files of their own.
fn texts_of_files(now: &Config, new: &Config, changes: &mut Vec<Change>) {
    for was in &now.prompts {
        let Some(is) = new.prompts.iter().find(|is| is.name == was.name) else { continue };
        let in_file = |config: &Config| {
            let prompt = config.written.get("prompts").and_then(|all| all.get(was.name.as_str()));
            prompt.is_some_and(|prompt| prompt.get("file").is_some())
        };
        if was.source != is.source && in_file(now) && in_file(new) {
            let said = format!("prompt `{}`: its file differs: {}", was.name, texts(&was.source, &is.source));
            let what = format!("prompt {}", was.name);
            changes.push(Change { kind: "changed".to_owned(), what, key: "file".to_owned(), said });
        }
    }
}
