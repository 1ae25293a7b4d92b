//! The history of a project, with a warning where it can't be used.

use std::io;
use std::path::Path;

use super::output::print;
use crate::env;
use crate::history::History;

pub(super) fn open_history(root: &Path) -> History {
    let (history, warning) = History::open(root, &env::process);
    if let Some(warning) = warning {
        print(io::stderr().lock(), &format!("warning: {warning}\n"));
    }
    history
}
