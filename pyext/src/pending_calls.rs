//! Calls between two instructions of the main thread.

use std::ffi::{c_int, c_void};

use pyo3::ffi;
use pyo3::prelude::*;

/// Calls `function` between two instructions of the main thread; `false` when too many calls are
/// pending.
#[pyfunction]
pub(crate) fn call_soon(function: Py<PyAny>) -> bool {
    let py_object = function.into_ptr();
    // SAFETY: may be called at any time. The call takes over the reference, as `call_now` does.
    let added = unsafe { ffi::Py_AddPendingCall(Some(call_now), py_object.cast()) } == 0;
    if !added {
        // SAFETY: nobody else has taken over the reference.
        Python::attach(|py| drop(unsafe { Bound::from_owned_ptr(py, py_object) }));
    }
    added
}

extern "C" fn call_now(function: *mut c_void) -> c_int {
    Python::attach(|py| {
        // SAFETY: the reference is the one that `call_soon` has given away, and each call is made
        // once.
        let function = unsafe { Bound::from_owned_ptr(py, function.cast()) };
        // There is nobody to whom an exception would mean anything.
        let _ = function.call0();
    });
    0
}
