//! The segment, opened.

use std::sync::Arc;

use pyo3::prelude::*;
use rpytest::shm;

use crate::errors::segment_error;

/// The shared memory of one run.
#[pyclass(frozen, module = "rpytest._native")]
pub(crate) struct Segment {
    pub(crate) segment: Arc<shm::Segment>,
}

#[pymethods]
impl Segment {
    /// Opens the segment named `name`.
    #[staticmethod]
    fn open(py: Python<'_>, name: &str) -> PyResult<Self> {
        let segment = py
            .detach(|| shm::Segment::open(name))
            .map_err(segment_error)?;
        Ok(Self {
            segment: Arc::new(segment),
        })
    }

    /// The tests of the run, in no particular order.
    fn planned(&self) -> Vec<u32> {
        let entries = &self.segment.plan().entries;
        entries.iter().map(|entry| entry.test).collect()
    }

    /// No worker claims a test from now on.
    fn stop(&self) {
        self.segment.stop();
    }

    /// The segment's name.
    #[getter]
    fn name(&self) -> &str {
        self.segment.name()
    }
}
