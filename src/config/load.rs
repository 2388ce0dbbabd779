//! A file, or a text, to a checked configuration: read, parse, shape, check. All errors of the stage that fails come at once.

use std::cell::RefCell;
use std::path::Path;

use toml::de::DeTable;

use crate::config::Watched;
use crate::config::check::check;
use crate::config::errors::Position;
use crate::config::files::read_text;
use crate::config::json;
use crate::config::keys;
use crate::config::read::{Loading, Table};
use crate::config::shape::check_table;
use crate::config::{Config, Environment, Errors};

/// A larger file is a mistake; a list of customers belongs into a file of its own.
pub(super) const CONFIG_BYTES_MAX: u64 = 16 << 20;

/// Reads and checks a file. Paths inside are relative to it.
pub fn load(path: &Path, env: &dyn Environment) -> Result<Config, Errors> {
    let name = path.display().to_string();
    let text = read_text(path, CONFIG_BYTES_MAX).map_err(|message| Errors::whole_file(&name, message))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parse(&text, &name, parent.unwrap_or(Path::new(".")), env)
}

/// Checks a text. `name_for_messages` stands before each error; `base_dir` is what paths inside are relative to.
pub fn parse(
    text: &str,
    name_for_messages: &str,
    base_dir: &Path,
    env: &dyn Environment,
) -> Result<Config, Errors> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (tree, faults) = DeTable::parse_recoverable(text);
    if !faults.is_empty() {
        let found = faults.iter().map(|fault| {
            let span = fault.span().unwrap_or_else(|| end_of(text));
            (span, format!("not TOML: {}", fault.message().lines().collect::<Vec<_>>().join(", ")))
        });
        return Err(Errors::at_spans(name_for_messages, text, found.collect()));
    }
    finish(&loading(text, base_dir, env), tree.get_ref(), name_for_messages)
}

fn loading<'d>(text: &'d str, base_dir: &'d Path, env: &'d dyn Environment) -> Loading<'d> {
    Loading {
        text,
        base_dir,
        env,
        errors: RefCell::default(),
        warnings: RefCell::default(),
        watched: RefCell::default(),
        names: RefCell::default(),
        #[cfg(test)]
        asked: RefCell::default(),
    }
}

/// The paths of the keys that the readers ask for while they read a good text.
#[cfg(test)]
pub(super) fn asked(text: &str, env: &dyn Environment) -> std::collections::BTreeSet<&'static str> {
    let (tree, _) = DeTable::parse_recoverable(text);
    let loading = loading(text, Path::new(env!("CARGO_MANIFEST_DIR")), env);
    finish(&loading, tree.get_ref(), "f").unwrap_or_else(|errors| panic!("{errors}"));
    loading.asked.take()
}

fn finish<'d>(loading: &'d Loading<'d>, tree: &'d DeTable<'d>, file: &str) -> Result<Config, Errors> {
    let root = Table {
        loading,
        entries: Some(tree),
        node: keys::root(),
        span: end_of(loading.text),
        place: String::new(),
    };
    check_table(loading, tree, root.node, &root.span, "");
    let mut config = check(&root);
    let errors = loading.errors.take();
    let watched = unique(loading.watched.take());
    if !errors.is_empty() {
        return Err(Errors::at_spans(file, loading.text, errors).with_watched(watched));
    }
    let mut warnings = loading.warnings.take();
    warnings.sort_by_key(|(span, _)| span.start);
    let lines = warnings.into_iter().map(|(span, message)| {
        let at = Position::of(loading.text, &span);
        format!("{file}:{}:{}: {message}", at.line, at.column)
    });
    config.warnings = lines.collect();
    config.watched = watched;
    config.written = json::table(tree);
    Ok(config)
}

/// Each file once, as it was when it was read first.
fn unique(mut files: Vec<Watched>) -> Vec<Watched> {
    files.sort_by(|one, other| one.path().cmp(other.path()));
    files.dedup_by(|later, first| later.path() == first.path());
    files
}

/// Where something is missing that belongs nowhere else.
fn end_of(text: &str) -> std::ops::Range<usize> {
    let end = text.trim_end().len();
    end..end
}
