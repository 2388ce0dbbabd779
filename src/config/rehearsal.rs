//! A configuration that is checked and does not serve: a file that somebody thinks of, which may have come over a network.
//!
//! Nothing of this machine is looked at for it: no file that did not come with it, no variable, no secret. What stands in for a secret
//! is nobody's, and is thrown away.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::config::files::read_text;
use crate::config::load::CONFIG_BYTES_MAX;
use crate::config::{Config, Environment, Errors, parse};

/// The texts of files, by the names that a configuration has for them.
pub type Files = BTreeMap<String, String>;

/// Checks a file with those that came with it. `limits` says how many files may be open, and what day it is.
pub fn rehearse(text: &str, name: &str, files: &Files, limits: &dyn Environment) -> Result<Config, Errors> {
    parse(text, name, Path::new(""), &Rehearsal { limits, source: Source::Sent(files) })
}

/// Reads a file and those that it names, but none that holds a secret: what [`rehearse`] wants to have.
pub fn gather(path: &Path, now_s: i64) -> Result<(String, Files), Errors> {
    let name = path.display().to_string();
    let text = read_text(path, CONFIG_BYTES_MAX).map_err(|message| Errors::whole_file(&name, message))?;
    let base = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = RefCell::new(Files::new());
    let limits = Elsewhere { now_s };
    parse(&text, &name, base, &Rehearsal { limits: &limits, source: Source::Disk(base, &found) })?;
    Ok((text, found.take()))
}

struct Rehearsal<'r> {
    limits: &'r dyn Environment,
    source: Source<'r>,
}

enum Source<'r> {
    /// What came with the file.
    Sent(&'r Files),
    /// This machine, below the file's folder; what was read is noted.
    Disk(&'r Path, &'r RefCell<Files>),
}

impl Environment for Rehearsal<'_> {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn open_files(&self) -> u64 {
        self.limits.open_files()
    }

    fn now_s(&self) -> i64 {
        self.limits.now_s()
    }

    fn rehearses(&self) -> bool {
        true
    }

    fn text(&self, path: &Path, bytes_max: u64) -> Result<String, String> {
        match self.source {
            Source::Sent(files) => {
                let wanted = plain(path);
                let sent = files.iter().find(|(name, _)| plain(Path::new(name)) == wanted);
                let (_, text) = sent.ok_or_else(|| {
                    "did not come with the file, and no other is read here: `dimmer plan` sends it; in the API it stands in `files`"
                        .to_owned()
                })?;
                match text.len() as u64 > bytes_max {
                    true => Err(format!("has more than {bytes_max} bytes")),
                    false => Ok(text.clone()),
                }
            }
            Source::Disk(base, found) => {
                let text = read_text(path, bytes_max)?;
                let name = plain(path.strip_prefix(base).unwrap_or(path));
                found.borrow_mut().insert(name.display().to_string(), text.clone());
                Ok(text)
            }
        }
    }
}

/// `./a` is `a`.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// Of the machine where the file is to serve nothing is known here.
struct Elsewhere {
    now_s: i64,
}

impl Environment for Elsewhere {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn open_files(&self) -> u64 {
        1 << 20
    }

    fn now_s(&self) -> i64 {
        self.now_s
    }
}
