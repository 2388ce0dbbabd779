//! The demo's own folder: made at its beginning, gone at its end.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A folder that nobody else had, and that nobody else can read.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes one where the system keeps what is temporary.
    pub(super) fn new(keep: bool) -> io::Result<Self> {
        let mut dice = [0; 4];
        // Without random numbers the process's own number must do.
        let _ = getrandom::fill(&mut dice);
        let name = format!("dimmer-demo-{}-{:08x}", std::process::id(), u32::from_le_bytes(dice));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path, keep })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration in it.
    pub(super) fn routes(&self) -> PathBuf {
        self.path.join("routes.toml")
    }

    /// Where the gateway's log goes.
    pub(super) fn log(&self) -> io::Result<File> {
        File::create(self.path.join(LOG))
    }

    /// Saves the configuration at once, as an editor does.
    pub(super) fn save(&self, routes: &str) -> io::Result<()> {
        let new = self.path.join("routes.toml.new");
        fs::write(&new, routes)?;
        fs::rename(new, self.routes())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // What is left in a folder for temporary files is the system's to remove.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

const LOG: &str = "gateway.log";
