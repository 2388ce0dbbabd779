//! A typed cursor over the spanned TOML tree. `shape` has refused what is unknown or of the wrong type; what the cursor
//! cannot read it leaves out silently, because it was reported there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::config::Watched;
use crate::config::keys::Node;
use crate::config::{Environment, quantity};

/// Everything that is collected while one file is loaded.
pub(crate) struct Loading<'d> {
    /// The file's text.
    pub(crate) text: &'d str,
    /// What its relative paths are relative to.
    pub(crate) base_dir: &'d Path,
    /// Variables, limits, the date.
    pub(crate) env: &'d dyn Environment,
    /// Errors by their place.
    pub(crate) errors: RefCell<Vec<(Span, String)>>,
    /// Warnings by their place.
    pub(crate) warnings: RefCell<Vec<(Span, String)>>,
    /// Files that were read, or should have been.
    pub(crate) watched: RefCell<Vec<Watched>>,
    /// The names that each table of named tables declares, collected when they are first asked for.
    pub(crate) names: RefCell<BTreeMap<&'static str, Rc<Vec<&'d str>>>>,
    /// The paths of the keys that the readers asked for.
    #[cfg(test)]
    pub(crate) asked: RefCell<std::collections::BTreeSet<&'static str>>,
}

/// A place in the file: bytes.
pub(crate) type Span = Range<usize>;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    /// The value.
    pub(crate) value: T,
    /// Its place.
    pub(crate) span: Span,
}

/// One table of the file, and what the table of keys says about it.
#[derive(Clone)]
pub(crate) struct Table<'d> {
    /// Where errors go.
    pub(crate) loading: &'d Loading<'d>,
    /// Its entries.
    pub(crate) entries: Option<&'d DeTable<'d>>,
    /// What it may hold.
    pub(crate) node: &'static Node,
    /// Its place in the file.
    pub(crate) span: Span,
    /// What messages call it: `server.limits`, or `flag "x": rule "y"`; empty for the whole file.
    pub(crate) place: String,
}

impl Loading<'_> {
    /// Reports an error.
    pub(crate) fn error(&self, span: &Span, message: String) {
        self.errors.borrow_mut().push((span.clone(), message));
    }

    /// Reports what is odd but not wrong.
    pub(crate) fn warn(&self, span: &Span, message: String) {
        self.warnings.borrow_mut().push((span.clone(), message));
    }

    /// Reads a text file named in the configuration and has it watched.
    pub(crate) fn read_file(&self, name: &str, bytes_max: u64) -> Result<String, String> {
        let path = self.base_dir.join(name);
        if !self.env.rehearses() {
            self.watched.borrow_mut().push(Watched::now(&path));
        }
        self.env.text(&path, bytes_max).map_err(|message| format!("the file {name:?} {message}"))
    }
}

impl<'d> Table<'d> {
    /// The value of a key, or the default that the table of keys gives.
    pub(crate) fn value(&self, key: &str) -> Option<At<&'d DeValue<'d>>> {
        let written = self.written(key);
        let default = || self.node.children.get(key).and_then(|node| node.default.as_ref());
        written.or_else(|| default().map(|value| At { value, span: self.span.clone() }))
    }

    /// The value of a key, only if the file has it.
    pub(crate) fn written(&self, key: &str) -> Option<At<&'d DeValue<'d>>> {
        #[cfg(test)]
        self.loading.asked.borrow_mut().insert(
            self.node
                .children
                .get(key)
                .and_then(|node| node.key)
                .map_or("a key that no table has", |key| key.path),
        );
        let value = self.entries?.get(key)?;
        Some(At { value: value.get_ref(), span: value.span() })
    }

    /// Whether the file has the key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.written(key).is_some()
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, key: &str) -> Option<At<&'d str>> {
        let at = self.value(key)?;
        let text = at.value.as_str().filter(|text| !text.is_empty())?;
        Some(At { value: text, span: at.span })
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, key: &str) -> Option<bool> {
        self.value(key)?.value.as_bool()
    }

    /// A finite number.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        number(self.value(key)?.value)
    }

    /// A whole number.
    pub(crate) fn whole(&self, key: &str) -> Option<u64> {
        whole(self.value(key)?.value)
    }

    /// A duration.
    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        quantity::duration(self.text(key)?.value).ok()
    }

    /// A duration; `"off"` (and nothing at all) is `None`.
    pub(crate) fn limit(&self, key: &str) -> Option<Duration> {
        self.duration(key)
    }

    /// A size in bytes.
    pub(crate) fn size(&self, key: &str) -> Option<u64> {
        quantity::size(self.text(key)?.value).ok()
    }

    /// A share between 0 and 1.
    pub(crate) fn share(&self, key: &str) -> Option<f64> {
        quantity::share(self.text(key)?.value).ok()
    }

    /// The texts of a list, or the one text that stands in its place.
    pub(crate) fn texts(&self, key: &str) -> Vec<At<&'d str>> {
        let Some(at) = self.value(key) else { return Vec::new() };
        match at.value {
            DeValue::String(text) => vec![At { value: text, span: at.span }],
            DeValue::Array(list) => texts(list, &at.span),
            _ => Vec::new(),
        }
    }

    /// A table inside this one; an empty one where the file has none.
    pub(crate) fn table(&self, key: &str) -> Table<'d> {
        let inside = self.written(key).and_then(|at| at.value.as_table().map(|table| (table, at.span)));
        let node = self.node.children.get(key).unwrap_or(self.node);
        let place = inside_of(&self.place, key);
        match inside {
            Some((table, span)) => Table { loading: self.loading, entries: Some(table), node, span, place },
            None => Table { loading: self.loading, entries: None, node, span: self.span.clone(), place },
        }
    }

    /// The named tables inside the table `key`, in the file's order.
    pub(crate) fn named(&self, key: &str) -> Vec<(At<&'d str>, Table<'d>)> {
        let outer = self.table(key);
        let Some(node) = outer.node.children.get("*") else { return Vec::new() };
        let tables = outer.entries().into_iter().filter_map(|(name, value)| {
            let entries = Some(value.value.as_table()?);
            let place = named_place(&outer.place, name.value);
            Some((name.clone(), Table { loading: self.loading, entries, node, span: name.span, place }))
        });
        tables.collect()
    }

    /// The tables of a list of tables.
    pub(crate) fn tables(&self, key: &str) -> Vec<Table<'d>> {
        let list = self.written(key).and_then(|at| at.value.as_array());
        let node = self.node.children.get(key).and_then(|node| node.children.get("[]"));
        let (Some(list), Some(node)) = (list, node) else { return Vec::new() };
        let tables = list.iter().enumerate().filter_map(|(index, value)| {
            let entries = value.get_ref().as_table()?;
            let place = listed_place(&self.place, key, entries, index);
            let span = value.span();
            Some(Table { loading: self.loading, entries: Some(entries), node, span, place })
        });
        tables.collect()
    }

    /// The entries of this table, in the file's order.
    pub(crate) fn entries(&self) -> Vec<(At<&'d str>, At<&'d DeValue<'d>>)> {
        self.entries.map(in_file_order).unwrap_or_default()
    }

    /// Reports an error about the value of a key.
    pub(crate) fn error(&self, span: &Span, message: &str) {
        let colon = if self.place.is_empty() { "" } else { ": " };
        self.loading.error(span, format!("{}{colon}{message}", self.place));
    }

    /// Reports an error about a key: `place: key: message`.
    pub(crate) fn error_at(&self, key: &str, span: &Span, message: &str) {
        self.loading.error(span, format!("{}: {message}", inside_of(&self.place, key)));
    }

    /// Whether anything was reported about this table yet.
    pub(crate) fn has_errors(&self) -> bool {
        let start = format!("{}:", self.place);
        self.loading.errors.borrow().iter().any(|(_, message)| message.starts_with(&start))
    }

    /// Warns about this table.
    pub(crate) fn warn(&self, span: &Span, message: &str) {
        self.loading.warn(span, format!("{}: {message}", self.place));
    }
}

/// The entries of a table in the order in which the file names them.
pub(crate) fn in_file_order<'d>(table: &'d DeTable<'d>) -> Vec<(At<&'d str>, At<&'d DeValue<'d>>)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| {
            let key_at = At { value: key.get_ref().as_ref(), span: key.span() };
            (key_at, At { value: value.get_ref(), span: value.span() })
        })
        .collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    entries
}

/// The texts of a list with their places. Where the list is a default, all stand at `span`.
pub(crate) fn texts<'d>(list: &'d DeArray<'d>, span: &Span) -> Vec<At<&'d str>> {
    let place = |value: &Spanned<DeValue<'_>>| {
        let own = value.span();
        if own.start >= span.start && own.end <= span.end { own } else { span.clone() }
    };
    list.iter()
        .filter_map(|value| Some(At { value: value.get_ref().as_str()?, span: place(value) }))
        .collect()
}

/// A finite number.
pub(crate) fn number(value: &DeValue<'_>) -> Option<f64> {
    let number = match value {
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok()? as f64,
        DeValue::Float(float) => float.as_str().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// A whole number from 0.
pub(crate) fn whole(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// What messages call a key of a place.
pub(crate) fn inside_of(place: &str, key: &str) -> String {
    match place.chars().next_back() {
        None => key.to_owned(),
        Some(last) if last == '"' || last.is_ascii_digit() => format!("{place}: {key}"),
        Some(_) => format!("{place}.{key}"),
    }
}

/// What messages call a named table: `flag "x"`.
pub(crate) fn named_place(outer: &str, name: &str) -> String {
    let plural = outer.rsplit('.').next().unwrap_or(outer);
    let singular = match plural {
        "replies" => "reply",
        other => other.strip_suffix('s').unwrap_or(other),
    };
    format!("{singular} {name:?}")
}

/// What messages call a table of a list: `flag "x": rule "y"`, or `flag "x": rule 2` where it has no name.
pub(crate) fn listed_place(outer: &str, key: &str, entries: &DeTable<'_>, index: usize) -> String {
    let singular = key.strip_suffix('s').unwrap_or(key);
    let element = match entries.get("name").and_then(|name| name.get_ref().as_str()) {
        Some(name) => format!("{singular} {name:?}"),
        None => format!("{singular} {}", index + 1),
    };
    inside_of(outer, &element)
}
