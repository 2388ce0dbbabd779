//! What a configuration takes from outside its files: environment variables, the open-file limit, today's date.

use std::path::Path;

use crate::config::files::read_text;

/// Where the loader looks for what is not in a file. The process' own in the binary, a fixed one in tests.
pub trait Environment {
    /// The value of an environment variable; `None` when it is not set or is no UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// How many files (and sockets) the process may have open.
    fn open_files(&self) -> u64;

    /// Now, in seconds since 1970: expired flags and certificates are warned of, nothing else depends on it.
    fn now_s(&self) -> i64;

    /// The file is only thought of: secrets are not looked at, and nothing that it names is followed.
    fn rehearses(&self) -> bool {
        false
    }

    /// The text of a file that the configuration names; why not, without its name.
    fn text(&self, path: &Path, bytes_max: u64) -> Result<String, String> {
        read_text(path, bytes_max)
    }
}

/// The process' own environment, at a time that the caller read from the clock.
#[derive(Clone, Copy, Debug)]
pub struct ProcessEnvironment {
    /// Now, in seconds since 1970.
    pub now_s: i64,
}

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn open_files(&self) -> u64 {
        rlimit::Resource::NOFILE.get_soft().unwrap_or(FEWEST_OPEN_FILES)
    }

    fn now_s(&self) -> i64 {
        self.now_s
    }
}

/// What every system grants at least; used where the limit cannot be read.
const FEWEST_OPEN_FILES: u64 = 1024;
