//! `[server]`, `[admin]` and `[clients]`: the listeners and who may use them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::read::{At, Table, number};
use crate::config::shape::describe;
use crate::config::{
    Admin, AnswerHeaders, AttributeKind, AttributeSpec, Client, ContextSpec, Limits, OwnedAttribute, Role,
    Server, Token, secrets,
};
use crate::names::{ClientName, RouteName};
use crate::units::Secret;

/// Reads `[server]`.
pub(super) fn server(root: &Table<'_>, open: bool) -> Server {
    let table = root.table("server");
    let listen = address(&table, "listen");
    if open && !listen.ip().is_loopback() {
        let message = format!(
            "{listen} can be reached from other machines, and no [clients] are declared: declare [clients.NAME] with a key, or listen on 127.0.0.1"
        );
        report_listen(&table, &message);
    }
    Server {
        listen,
        drain: table.duration("drain").unwrap_or(Duration::ZERO),
        answer_headers: match table.text("answer_headers").map(|at| at.value) {
            Some("id") => AnswerHeaders::Id,
            Some("none") => AnswerHeaders::None,
            _ => AnswerHeaders::All,
        },
        workers: workers(&table),
        limits: limits(&table.table("limits")),
    }
}

fn report_listen(table: &Table<'_>, message: &str) {
    let span = table.written("listen").map_or_else(|| table.span.clone(), |at| at.span);
    table.error_at("listen", &span, message);
}

fn workers(table: &Table<'_>) -> Option<usize> {
    table.written("workers")?;
    let workers = table.whole("workers")?;
    if workers > WORKERS_MAX {
        let span = table.written("workers").map(|at| at.span).unwrap_or_default();
        table.error_at(
            "workers",
            &span,
            &format!("{workers} threads are too many: write {WORKERS_MAX} or less"),
        );
    }
    usize::try_from(workers).ok()
}

/// More threads than the largest machines have cores only cost memory.
const WORKERS_MAX: u64 = 1024;

fn limits(table: &Table<'_>) -> Limits {
    let size = |key| table.size(key).unwrap_or(1);
    let duration = |key| table.duration(key).unwrap_or(Duration::ZERO);
    let limits = Limits {
        body: size("body"),
        passthrough_body: size("passthrough_body"),
        headers: size("headers"),
        header_timeout: duration("header_timeout"),
        body_timeout: duration("body_timeout"),
        idle_timeout: duration("idle_timeout"),
        write_stall: duration("write_stall"),
        concurrent: concurrent(table),
        memory: size("memory"),
    };
    if limits.body > limits.memory {
        let span = table.written("body").or_else(|| table.written("memory")).map(|at| at.span);
        let message = "one body may be larger than `memory`, which all held bodies share: raise `memory` or lower `body`";
        table.error_at("body", &span.unwrap_or_else(|| table.span.clone()), message);
    }
    limits
}

fn concurrent(table: &Table<'_>) -> u64 {
    let sockets = table.loading.env.open_files().saturating_sub(OWN_FILES) / FILES_PER_REQUEST;
    match table.written("concurrent") {
        Some(at) => {
            let wanted = table.whole("concurrent").unwrap_or(1);
            if wanted > sockets {
                let message = format!(
                    "concurrent = {wanted} needs more sockets than the open-file limit allows ({sockets} requests): raise the limit (ulimit -n)"
                );
                table.warn(&at.span, &message);
            }
            wanted
        }
        None => sockets.max(1),
    }
}

/// Files that the process needs for itself: listeners, logs, state, the watcher.
const OWN_FILES: u64 = 200;
/// One socket to the caller and one to the provider.
const FILES_PER_REQUEST: u64 = 2;

fn address(table: &Table<'_>, key: &str) -> SocketAddr {
    let parsed = table.text(key).and_then(|at| at.value.parse().ok());
    parsed.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

/// Reads `[admin]`.
pub(super) fn admin(root: &Table<'_>) -> Admin {
    let table = root.table("admin");
    let listen = address(&table, "listen");
    let tokens: Vec<Token> = table.tables("tokens").iter().map(token).collect();
    for (index, one) in tokens.iter().enumerate() {
        if tokens
            .iter()
            .skip(index + 1)
            .any(|other| other.token == one.token && !one.token.reveal().is_empty())
        {
            table.error_at("tokens", &table.span, &format!("{:?} shares its token with another", one.name));
        }
    }
    if tokens.is_empty() && !listen.ip().is_loopback() {
        let message = format!(
            r#"{listen} can be reached from other machines, and there are no tokens: write tokens = [{{ name = "…", role = "operator", token = "${{NAME}}" }}], or listen on 127.0.0.1"#
        );
        report_listen(&table, &message);
    }
    let data: Option<SocketAddr> = root.table("server").text("listen").and_then(|at| at.value.parse().ok());
    if let Some(data) = data.filter(|data| collide(*data, listen)) {
        report_listen(
            &table,
            &format!("{listen} cannot be had beside the data listener's {data}: choose another port"),
        );
    }
    Admin { listen, tokens }
}

/// Whether two listeners would want the same port. Port 0 stands for any free one.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_port = one.port() == other.port() && one.port() != 0;
    same_port && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

fn token(table: &Table<'_>) -> Token {
    let token = secret(table, "token").unwrap_or_else(|| Secret::new(String::new()));
    let length = token.reveal().len();
    if (1..TOKEN_BYTES_MIN).contains(&length) {
        let span = table.written("token").map(|at| at.span).unwrap_or_default();
        let message = format!(
            "a token has {TOKEN_BYTES_MIN} bytes or more, this one has {length}: try `openssl rand -hex 32`"
        );
        table.error_at("token", &span, &message);
    }
    Token {
        name: table.text("name").map(|at| at.value.to_owned()).unwrap_or_default(),
        role: if table.text("role").is_some_and(|at| at.value == "operator") {
            Role::Operator
        } else {
            Role::Viewer
        },
        token,
    }
}

/// A shorter token could be guessed.
const TOKEN_BYTES_MIN: usize = 32;

/// Follows a reference to a secret and has its file watched.
pub(super) fn secret(table: &Table<'_>, key: &str) -> Option<Secret> {
    secret_at(table, key, &table.text(key)?)
}

/// The same for one of a list.
pub(super) fn secret_at(table: &Table<'_>, key: &str, at: &At<&str>) -> Option<Secret> {
    let reference = secrets::reference(at.value).ok()?;
    let (result, file) = secrets::resolve(&reference, table.loading.base_dir, table.loading.env);
    table.loading.watched.borrow_mut().extend(file);
    result.map_err(|message| table.error_at(key, &at.span, &message)).ok()
}

/// Reads `[clients]`.
pub(super) fn clients(root: &Table<'_>, context: &ContextSpec) -> Vec<Arc<Client>> {
    let routes = super::declared(root, "routes");
    let mut clients: Vec<Arc<Client>> = Vec::new();
    for (name, table) in root.named("clients") {
        super::check_name(&table, &name, "");
        let key = secret(&table, "key").unwrap_or_else(|| Secret::new(String::new()));
        if let Some(other) = clients.iter().find(|other| other.key == key && !key.reveal().is_empty()) {
            table.error_at("key", &name.span, &format!("client {:?} has the same key", other.name));
        }
        clients.push(Arc::new(Client {
            name: ClientName::from(name.value),
            key,
            routes: client_routes(&table, &routes),
            attributes: client_attributes(&table, context),
            trusted: table.boolean("trusted").unwrap_or(false),
            may_choose_route: table.boolean("may_choose_route").unwrap_or(false),
        }));
    }
    clients
}

fn client_routes(table: &Table<'_>, known: &[&str]) -> Option<Vec<RouteName>> {
    table.written("routes")?;
    let mut routes = Vec::new();
    for at in table.texts("routes") {
        if !known.contains(&at.value) {
            let suggestion = super::did_you_mean(at.value, known.iter().copied());
            table.error_at("routes", &at.span, &format!("{:?} is no route{suggestion}", at.value));
        }
        routes.push(RouteName::from(at.value));
    }
    Some(routes)
}

fn client_attributes(table: &Table<'_>, context: &ContextSpec) -> Vec<(u16, OwnedAttribute)> {
    let inside = table.table("attributes");
    let mut attributes = Vec::new();
    for (name, value) in inside.entries() {
        let found = context.attributes.iter().position(|spec| spec.name.as_str() == name.value);
        let Some((index, spec)) = found.and_then(|index| Some((index, context.attributes.get(index)?)))
        else {
            let known = context.attributes.iter().map(|spec| spec.name.as_str());
            let suggestion = super::did_you_mean(name.value, known);
            let message = format!("{:?} is no attribute of [context.attributes]{suggestion}", name.value);
            table.error_at("attributes", &name.span, &message);
            continue;
        };
        match owned(spec, &value) {
            Ok(owned) => attributes.push((u16::try_from(index).unwrap_or(u16::MAX), owned)),
            Err(message) => inside.error_at(name.value, &value.span, &message),
        }
    }
    attributes
}

fn owned(spec: &AttributeSpec, value: &At<&DeValue<'_>>) -> Result<OwnedAttribute, String> {
    let wrong = |expected: &str| Err(format!("must be {expected}, not {}", describe(value.value)));
    match (&spec.kind, value.value) {
        (AttributeKind::Text, DeValue::String(text)) => Ok(OwnedAttribute::Text(Box::from(&**text))),
        (AttributeKind::Ordered(order), DeValue::String(text)) => {
            if order.iter().any(|known| **known == **text) {
                return Ok(OwnedAttribute::Text(Box::from(&**text)));
            }
            let suggestion = super::did_you_mean(text, order.iter().map(|known| &**known));
            Err(format!("{text:?} is not in the attribute's order{suggestion}"))
        }
        (AttributeKind::Bool, DeValue::Boolean(flag)) => Ok(OwnedAttribute::Bool(*flag)),
        (AttributeKind::Number, other) => match number(other) {
            Some(number) => Ok(OwnedAttribute::Number(number)),
            None => wrong("a number"),
        },
        (AttributeKind::Bool, _) => wrong("true or false"),
        (AttributeKind::Text | AttributeKind::Ordered(_), _) => wrong("a text"),
    }
}
