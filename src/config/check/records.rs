//! `[records]`: what is kept of requests, and where.

use std::path::Path;
use std::time::Duration;

use http::Uri;

use crate::config::check::server::{secret, secret_at};
use crate::config::read::{At, Table};
use crate::config::{Bodies, PostgresPlace, PostgresTls, RecordsPlace, RecordsSpec, UserIds};
use crate::units::Secret;

/// Reads `[records]`.
pub(super) fn records(root: &Table<'_>) -> RecordsSpec {
    let table = root.table("records");
    let place = place(&table);
    let secret = key(&table);
    let hashed = table.text("user_ids").is_none_or(|at| at.value == "hashed");
    if let (RecordsPlace::Postgres(_), None, true) = (&place, &secret, hashed)
        && !table.has("secret")
    {
        table.warn(
            &table.span,
            "secret is missing: each gateway hashes users under a secret of its own, so that several of them count one \
             user several times; write secret = \"${NAME}\", the same for all",
        );
    }
    RecordsSpec {
        place,
        user_ids: if hashed { UserIds::Hashed } else { UserIds::Plain },
        bodies: match table.text("bodies").map(|at| at.value) {
            Some("shadow") => Bodies::Shadow,
            Some("all") => Bodies::All,
            _ => Bodies::None,
        },
        body_max: body_max(&table),
        retention: retention(&table),
        secret,
    }
}

/// Two answers and a question of a usual size.
const BODY_MAX: u64 = 64 << 10;
/// A row of a database is no place for more.
const BODY_MAX_MAX: u64 = 16 << 20;

fn body_max(table: &Table<'_>) -> u64 {
    let size = table.size("body_max").unwrap_or(BODY_MAX);
    if !(1..=BODY_MAX_MAX).contains(&size) {
        let span = table.written("body_max").map(|at| at.span).unwrap_or_default();
        table.error_at("body_max", &span, "must be from \"1B\" to \"16MiB\"");
    }
    size
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A quarter of a year: an impact that takes longer to see is not worth a flag.
const RETENTION: Duration = Duration::from_secs(90 * 24 * 60 * 60);

fn retention(table: &Table<'_>) -> Duration {
    let retention = table.duration("retention").unwrap_or(RETENTION);
    let most = DAY.saturating_mul(3660);
    if retention < Duration::from_secs(60 * 60) || retention > most {
        let span = table.written("retention").map(|at| at.span).unwrap_or_default();
        table.error_at("retention", &span, "must be from \"1h\" to \"3660d\"");
    }
    retention
}

fn key(table: &Table<'_>) -> Option<Secret> {
    let secret = secret(table, "secret")?;
    let length = secret.reveal().len();
    if length < SECRET_BYTES_MIN {
        let span = table.written("secret").map(|at| at.span).unwrap_or_default();
        let message = format!(
            "a secret has {SECRET_BYTES_MIN} bytes or more, this one has {length}: try `openssl rand -hex 32`"
        );
        table.error_at("secret", &span, &message);
    }
    Some(secret)
}

/// Who has a shorter one's hashes could try all of them.
const SECRET_BYTES_MIN: usize = 32;

/// For a file that is wrong, whose configuration is thrown away.
const STAND_IN: &str = "records.db";
const PLACES: &str =
    r#"write "sqlite:PATH" such as "sqlite:records.db", "postgres://USER@HOST/DATABASE", or "none""#;

fn place(table: &Table<'_>) -> RecordsPlace {
    let base_dir = table.loading.base_dir;
    let stand_in = || RecordsPlace::Sqlite(base_dir.join(STAND_IN));
    let Some(at) = table.text("url") else { return stand_in() };
    let referred = at.value.starts_with("${") || at.value.starts_with("file:");
    if referred && table.loading.env.rehearses() {
        return stand_in();
    }
    let url = if referred {
        match secret_at(table, "url", &at) {
            Some(url) => url,
            None => return stand_in(),
        }
    } else {
        Secret::new(at.value.to_owned())
    };
    match read_url(url.reveal(), base_dir, referred) {
        Ok(place) => {
            warn_of_clear_text(table, &at, &place);
            place
        }
        Err(message) => {
            table.error_at("url", &at.span, &message);
            stand_in()
        }
    }
}

fn read_url(url: &str, base_dir: &Path, referred: bool) -> Result<RecordsPlace, String> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "none" if rest.is_empty() => Ok(RecordsPlace::None),
        "sqlite" => file_of(rest).map(|file| RecordsPlace::Sqlite(base_dir.join(file))),
        "postgres" | "postgresql" => postgres(url, base_dir, referred).map(RecordsPlace::Postgres),
        _ => Err(format!("is no place for records: {PLACES}")),
    }
}

fn file_of(rest: &str) -> Result<&Path, String> {
    let path = Path::new(rest.strip_prefix("//").unwrap_or(rest));
    if rest == ":memory:" || rest.starts_with('?') {
        return Err(r#"kept in memory they would be lost: write "sqlite:PATH", or "none""#.to_owned());
    }
    if path.file_name().is_none() || rest.ends_with('/') {
        return Err(format!("names no file: {PLACES}"));
    }
    Ok(path)
}

/// No part of the URL gets into a message: any may be the password by mistake.
fn postgres(url: &str, base_dir: &Path, referred: bool) -> Result<PostgresPlace, String> {
    let no_url =
        || r#"is no URL such as "postgres://dimmer@db.example/dimmer?sslmode=verify-full""#.to_owned();
    let (scheme, rest) = url.split_once("://").ok_or_else(no_url)?;
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (account, hosts) = before.rsplit_once('@').unwrap_or(("", before));
    let (user, password) = account.split_once(':').unwrap_or((account, ""));
    if hosts.is_empty() || hosts.starts_with('/') {
        return Err(no_url());
    }
    if !referred && (!password.is_empty() || query.contains("password=")) {
        return Err(
            r#"has a password in it: put the URL into an environment variable and write "${NAME}", or into a file and write "file:PATH""#
                .to_owned(),
        );
    }
    let (mut tls, mut roots, mut others) = (PostgresTls::Prefer, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("sslmode", mode) => tls = sslmode(mode)?,
            ("sslrootcert", "system") => {}
            ("sslrootcert", file) => roots = Some(base_dir.join(file)),
            _ => others.push(pair),
        }
    }
    if roots.is_some() && tls == PostgresTls::Require {
        // As libpq does: who names an authority wants it to be asked.
        tls = PostgresTls::VerifyFull;
    }
    let url = match others.is_empty() {
        true => format!("{scheme}://{before}"),
        false => format!("{scheme}://{before}?{}", others.join("&")),
    };
    if url.parse::<tokio_postgres::Config>().is_err() {
        return Err(no_url());
    }
    let user = if user.is_empty() { String::new() } else { format!("{user}@") };
    Ok(PostgresPlace { url: Secret::new(url), shown: format!("postgres://{user}{hosts}"), tls, roots })
}

fn sslmode(mode: &str) -> Result<PostgresTls, String> {
    match mode {
        "disable" => Ok(PostgresTls::Disable),
        "prefer" | "allow" => Ok(PostgresTls::Prefer),
        "require" => Ok(PostgresTls::Require),
        "verify-full" | "verify-ca" => Ok(PostgresTls::VerifyFull),
        _ => Err("sslmode must be disable, prefer, require or verify-full".to_owned()),
    }
}

/// What goes over a network is what callers asked and who they are.
fn warn_of_clear_text(table: &Table<'_>, at: &At<&str>, place: &RecordsPlace) {
    let RecordsPlace::Postgres(place) = place else { return };
    let local = place.shown.parse::<Uri>().ok().and_then(|uri| uri.host().map(is_here)).unwrap_or(false);
    if !local && matches!(place.tls, PostgresTls::Disable | PostgresTls::Prefer) {
        let message = "url: the way to the database may be clear text, to whoever answers there: add ?sslmode=verify-full";
        table.warn(&at.span, message);
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost"
        || host.starts_with('%')
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|at| at.is_loopback())
}
