//! Any routes.toml: it is loaded or refused with places inside the file, and never panics.

use std::path::Path;

use dimmer::config::{Environment, parse};

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

pub(super) fn hold(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Devices and pipes would be read from, which says nothing about the loader.
    if ["/dev", "/proc", "/sys"].iter().any(|place| text.contains(place)) {
        return;
    }
    match parse(text, "routes.toml", Path::new("/nonexistent"), &Fixed) {
        Ok(config) => assert!(!config.routes.is_empty() && !config.providers.is_empty()),
        Err(errors) => {
            let lines = text.lines().count().max(1) + 1;
            assert!(!errors.faults().is_empty(), "refused without a reason");
            for fault in errors.faults() {
                assert!(!fault.message.is_empty());
                assert!(
                    fault
                        .position
                        .as_ref()
                        .is_none_or(|at| at.line >= 1 && at.line <= lines && at.column >= 1)
                );
            }
            assert!(!errors.pretty().is_empty());
        }
    }
}
