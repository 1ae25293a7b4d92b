//! Errors of the segment as Python's.

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rpytest::shm::{PushError, SegmentError};

pub(crate) fn segment_error(error: SegmentError) -> PyErr {
    let text = error.to_string();
    match error {
        SegmentError::Os { source, .. } | SegmentError::NoSpace { source, .. } => {
            os_error(&source, text)
        }
        SegmentError::Invalid { .. }
        | SegmentError::Limit { .. }
        | SegmentError::NoSlot { .. }
        | SegmentError::NotAssigned { .. } => PyValueError::new_err(text),
        SegmentError::Foreign { .. } => PyRuntimeError::new_err(text),
    }
}

pub(crate) fn push_error(error: PushError) -> PyErr {
    let text = error.to_string();
    match error {
        PushError::Spill { source, .. } => os_error(&source, text),
        PushError::Interrupted | PushError::Damaged { .. } => PyRuntimeError::new_err(text),
    }
}

/// With an error number Python makes it the right subclass, `FileNotFoundError` for one.
fn os_error(source: &std::io::Error, text: String) -> PyErr {
    match source.raw_os_error() {
        Some(code) => PyOSError::new_err((code, text)),
        None => PyOSError::new_err(text),
    }
}
