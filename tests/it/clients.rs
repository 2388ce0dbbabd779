//! Where the clone lies, and what `tests/clients/prepare` put into it.

use std::path::{Path, PathBuf};

/// The clone's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The directory that `tests/clients/prepare` filled: `DIMMER_TEST_CLIENTS`, else `target/clients`. Fails the test when
/// it is not there, because a test that skips itself proves nothing.
pub(crate) fn clients() -> PathBuf {
    let directory =
        std::env::var_os("DIMMER_TEST_CLIENTS").map_or_else(|| root().join("target/clients"), PathBuf::from);
    assert!(
        directory.join("bin/promtool").exists() && directory.join("venv/bin/python").exists(),
        "{} is not prepared: run `make prepare` (it needs the network once), then this test again",
        directory.display()
    );
    directory
}
