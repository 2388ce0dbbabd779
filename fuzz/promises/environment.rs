//! What the promises load configurations with: the same on every machine.

use dimmer::config::Environment;

pub(super) struct Fixed;

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        name.ends_with("KEY").then(|| "0123456789abcdef0123456789abcdef".to_owned())
    }

    fn open_files(&self) -> u64 {
        20_000
    }

    fn now_s(&self) -> i64 {
        1_795_132_800
    }
}
