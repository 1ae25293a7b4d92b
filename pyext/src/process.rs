//! What a worker's process asks of the system: ends of parents, and pages of memory.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use rpytest::process;

/// Asks the kernel to kill this process when the one that forked it ends, however it ends.
///
/// The parent may be gone already: the caller compares `os.getppid()` afterwards.
#[pyfunction]
pub(crate) fn die_with_parent() -> PyResult<()> {
    process::die_with_parent().map_err(|error| PyOSError::new_err(error.to_string()))
}

/// Whether descendants of this process become its children when their parents end.
#[pyfunction]
pub(crate) fn adopt_orphans(yes: bool) -> PyResult<()> {
    process::adopt_orphans(yes).map_err(|error| PyOSError::new_err(error.to_string()))
}

/// The ranges of pages, start and length, that this process has for itself.
#[pyfunction]
pub(crate) fn own_pages() -> PyResult<Vec<process::PageRange>> {
    process::own_pages().map_err(|error| PyOSError::new_err(error.to_string()))
}

/// Gives this process copies of its own of these pages, before it needs them.
#[pyfunction]
pub(crate) fn copy_pages(ranges: Vec<process::PageRange>) {
    process::copy_pages(&ranges);
}
