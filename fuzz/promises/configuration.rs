//! Any routes.toml: it is loaded or refused with places inside the file, and never panics.

use std::path::Path;

use dimmer::config::parse;

use super::environment::Fixed;

pub(crate) fn hold(data: &[u8]) {
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
