//! The second step of loading: from a tree of the right shape to values that cannot be wrong.
//!
//! Each file reads its part of the table. Where something is wrong the error is noted and reading goes on with a
//! stand-in, so that all errors of a file come at once; the caller throws the result away when there was any.

mod attributes;
mod breakers;
mod capabilities;
mod conditions;
mod context;
mod dialects;
mod fallback;
mod feedback;
mod flags;
mod judges;
mod operators;
mod params;
mod providers;
mod records;
mod replies;
mod routes;
mod segments;
mod server;
mod shadows;
mod slots;
mod state;
mod telemetry;
mod tls;
mod unused;
mod variants;
mod webhooks;

pub use server::own_files;

use std::rc::Rc;
use std::sync::Arc;

use crate::config::Config;
use crate::config::quantity::did_you_mean;
use crate::config::read::{At, Table};

/// Reads the whole file.
pub(crate) fn check(root: &Table<'_>) -> Config {
    let context = context::context(root);
    let clients = server::clients(root, &context);
    let server = server::server(root, clients.is_empty());
    let admin = server::admin(root);
    let providers = providers::providers(root);
    let attributes = attributes::Attributes::new(root, &context);
    let segments = segments::segments(root, &attributes);
    let models = providers::models(root, &providers, &|table| {
        conditions::condition(table, "allow", &attributes, &segments)
    });
    let prompts = replies::prompts(root);
    let replies = replies::replies(root);
    let feedback = feedback::feedback(root);
    let judges = judges::judges(root, &models);
    let targets = slots::Targets {
        models: &models,
        replies: &replies,
        prompts: &prompts,
        judges: &judges,
        feedback: &feedback,
    };
    let flags = flags::flags(root, &attributes, &segments);
    let breakers = breakers::breakers(root);
    let routes = routes::routes(root, &providers, &targets, &flags, &breakers, &attributes);
    let unused = unused::find(root, &unused::Built { models: &models, routes: &routes, flags: &flags });
    capabilities::warn(root, &models, &routes, &flags);
    let flags = flags.into_iter().map(|drafted| drafted.flag).collect();
    let state = state::state(root);
    let records = records::records(root);
    let webhooks = webhooks::webhooks(root);
    let telemetry = telemetry::telemetry(root);
    let warnings = Vec::new();
    let watched = Vec::new();
    let written = serde_json::Value::Null;
    Config {
        server,
        admin,
        clients,
        context,
        providers,
        models,
        prompts,
        replies,
        flags,
        routes,
        state,
        feedback,
        judges,
        records,
        webhooks,
        unused,
        telemetry,
        warnings,
        written,
        watched,
    }
}

/// Refuses a name that could not stand in a header, a metric or a kill target. `extra` are characters allowed besides
/// letters, digits, `.`, `_` and `-`.
fn check_name(table: &Table<'_>, name: &At<&str>, extra: &str) {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c) || extra.contains(c);
    if name.value.is_empty() || name.value.len() > NAME_BYTES_MAX || !name.value.chars().all(fine) {
        let spaced: String = extra.chars().flat_map(|c| [' ', c]).collect();
        let message = format!("a name has 1 to {NAME_BYTES_MAX} of the characters A-Z a-z 0-9 . _ -{spaced}");
        table.error(&name.span, &message);
    }
}

/// Names stand in headers and in metrics' labels.
const NAME_BYTES_MAX: usize = 128;

/// Finds what `name` refers to. `None` with an error where nothing is called so in the file; `None` without one where it
/// is in the file but could not be built, which was reported there.
fn resolve<T>(
    table: &Table<'_>,
    key: &str,
    name: &At<&str>,
    built: &[Arc<T>],
    room: &Room<'_, T>,
) -> Option<Arc<T>> {
    if let Some(found) = built.iter().find(|candidate| (room.name_of)(candidate) == name.value) {
        return Some(Arc::clone(found));
    }
    let declared = &room.declared;
    if !declared.contains(&name.value) {
        let suggestion = did_you_mean(name.value, declared.iter().copied());
        let message = format!("{:?} is no {}{suggestion}", name.value, room.what);
        table.error_at(key, &name.span, &message);
    }
    None
}

/// What the names of one kind may refer to.
struct Room<'d, T> {
    /// What the file declares, well or badly.
    declared: Rc<Vec<&'d str>>,
    /// Its singular, for messages.
    what: &'static str,
    /// How the built thing is called.
    name_of: fn(&T) -> &str,
}

impl<'d, T> Room<'d, T> {
    fn new(root: &Table<'d>, key: &'static str, what: &'static str, name_of: fn(&T) -> &str) -> Self {
        Self { declared: declared(root, key), what, name_of }
    }
}

/// The names that the file declares in the table `key`, well or badly.
fn declared<'d>(root: &Table<'d>, key: &'static str) -> Rc<Vec<&'d str>> {
    let mut known = root.loading.names.borrow_mut();
    let collect = || root.table(key).entries().into_iter().map(|(name, _)| name.value).collect();
    Rc::clone(known.entry(key).or_insert_with(|| Rc::new(collect())))
}
