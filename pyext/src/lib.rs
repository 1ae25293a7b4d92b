//! `rpytest._native`: a worker's end of the segment, for Python; and what Python can't do, or not
//! fast enough.
//!
//! Thin on purpose: everything that can be wrong about shared memory is in `rpytest::shm`. Here it
//! is only made callable, with the interpreter's lock held in the usual case (taking it again costs
//! more than writing a record) and released while a worker waits for room.

mod errors;
mod noticed;
mod pending_calls;
mod process;
mod segment;
mod worker;

use pyo3::prelude::*;

use noticed::Noticed;
use segment::Segment;
use worker::Worker;

/// The worker's side of rpytest's shared memory.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Noticed>()?;
    module.add_class::<Segment>()?;
    module.add_class::<Worker>()?;
    module.add_function(wrap_pyfunction!(process::adopt_orphans, module)?)?;
    module.add_function(wrap_pyfunction!(noticed::begins_with, module)?)?;
    module.add_function(wrap_pyfunction!(pending_calls::call_soon, module)?)?;
    module.add_function(wrap_pyfunction!(process::copy_pages, module)?)?;
    module.add_function(wrap_pyfunction!(process::own_pages, module)?)?;
    module.add_function(wrap_pyfunction!(process::die_with_parent, module)?)
}
