//! Secrets come from the environment or from files, never from the configuration itself.
//!
//! Must never put a secret, or what may be one by mistake, into a message.

use std::path::Path;

use crate::config::Environment;
use crate::config::Watched;
use crate::config::files::read_text;
use crate::units::Secret;

/// What a secret's text in the file refers to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reference<'t> {
    /// `${NAME}`
    Variable(&'t str),
    /// `file:PATH`
    File(&'t str),
}

/// A larger secret file is a mistake.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Reads the reference, without following it. The text itself never gets into the error: it may be a key.
pub(crate) fn reference(text: &str) -> Result<Reference<'_>, String> {
    if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
        return Ok(Reference::File(path));
    }
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    if let Some(name) = name.filter(|name| is_variable_name(name)) {
        return Ok(Reference::Variable(name));
    }
    Err(r#"holds the secret itself: put it into an environment variable and write "${NAME}", or into a file and write "file:PATH""#
        .to_owned())
}

/// Follows the reference. A file is returned too, so that it can be watched, whether it can be read or not.
pub(crate) fn resolve(
    reference: &Reference<'_>,
    base_dir: &Path,
    env: &dyn Environment,
) -> (Result<Secret, String>, Option<Watched>) {
    if env.rehearses() {
        return (Ok(stand_in(reference)), None);
    }
    match reference {
        Reference::Variable(name) => {
            let value = env.variable(name).filter(|value| !value.is_empty());
            let missing =
                || format!("the environment variable {name} is not set: set it, or take the line out");
            (value.ok_or_else(missing).and_then(|value| usable(value, name)), None)
        }
        Reference::File(name) => {
            let path = base_dir.join(name);
            let watched = Watched::now(&path);
            (read_file(&path, name).and_then(|value| usable(value, name)), Some(watched))
        }
    }
}

/// Different for each, and long enough for everything that wants a secret.
fn stand_in(reference: &Reference<'_>) -> Secret {
    let name = match reference {
        Reference::Variable(name) => format!("variable-{name}"),
        Reference::File(name) => format!("file-{name}"),
    };
    let usable = name.bytes().map(|byte| if (0x21..0x7f).contains(&byte) { char::from(byte) } else { '-' });
    Secret::new(format!("stands-in-for-a-secret-that-nobody-read-{}", usable.collect::<String>()))
}

fn read_file(path: &Path, name: &str) -> Result<String, String> {
    let text = read_text(path, SECRET_BYTES_MAX).map_err(|message| format!("the file {name} {message}"))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// A credential goes into a header: what cannot stand in one is refused here and not at the first request.
fn usable(value: String, name: &str) -> Result<Secret, String> {
    if value.is_empty() {
        return Err(format!("{name} is empty"));
    }
    if !value.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
        return Err(format!(
            "{name} has spaces, line ends or other characters that no key has: is it the right one?"
        ));
    }
    Ok(Secret::new(value))
}

fn is_variable_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
