//! Text on the command's own streams.

use std::io::Write;

/// Writes a text that is somebody else's; a reader that is gone does not want it.
pub(super) fn print(mut to: impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes());
    let _ = to.flush();
}
