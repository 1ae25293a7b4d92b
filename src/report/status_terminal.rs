//! Standard output as the status line draws on it, and bytes that wait until it takes them.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::TermLike;

/// A terminal that ends a line by erasing its rest.
///
/// indicatif fills the line with spaces instead, up to the last column: a terminal that wraps its
/// lines anew when the window gets narrower would keep a piece of each such line.
#[derive(Debug, Default)]
pub struct StatusTerminal {
    pending: Mutex<String>,
}

impl StatusTerminal {
    fn push(&self, text: &str) -> io::Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.push_str(text);
        Ok(())
    }

    fn step(&self, count: usize, direction: char) -> io::Result<()> {
        match count {
            0 => Ok(()),
            count => self.push(&format!("\x1b[{count}{direction}")),
        }
    }
}

/// Columns of the terminal on standard output at this moment.
pub fn columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

impl TermLike for StatusTerminal {
    fn width(&self) -> u16 {
        columns().map_or(80, |columns| u16::try_from(columns).unwrap_or(u16::MAX))
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.step(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.step(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.step(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.step(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.push(text)?;
        self.push("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let filler = !text.is_empty() && text.bytes().all(|byte| byte == b' ');
        self.push(if filler { "\x1b[K" } else { text })
    }

    fn clear_line(&self) -> io::Result<()> {
        self.push("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::mem::take(&mut *pending);
        write_out(&mut io::stdout(), text.as_bytes())
    }
}

/// Writes everything. A test may have made the terminal non-blocking, which is shared with us: then
/// wait.
pub(super) fn write_out(out: &mut dyn Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) => wait_or(error)?,
        }
    }
    while let Err(error) = out.flush() {
        wait_or(error)?;
    }
    Ok(())
}

fn wait_or(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        io::ErrorKind::WouldBlock => {
            std::thread::sleep(Duration::from_millis(1));
            Ok(())
        }
        _ => Err(error),
    }
}
