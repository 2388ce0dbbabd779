//! Files that the configuration names, read with a bound.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a whole text of at most `bytes_max` bytes. Says why not, without the file's name. A pipe or device that never ends
/// is given up at the bound, whatever length it claims.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<String, String> {
    let bytes = read(path, bytes_max).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("has more than {bytes_max} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = good.filter(|byte| **byte == b'\n').count() + 1;
        format!("is not UTF-8: line {line} has other bytes")
    })
}

fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
