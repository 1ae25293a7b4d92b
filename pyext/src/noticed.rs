//! Functions that tell of their use, and whether a namespace still has what it had.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// Whether the values of `now` begin with the very objects that are the values of `before`, in the
/// same order. A function whose use is noticed for a while stands for itself.
///
/// Counts no references: in a forked process each count that is changed costs the copy of a page.
#[pyfunction]
pub(crate) fn begins_with(now: &Bound<'_, PyDict>, before: &Bound<'_, PyDict>) -> bool {
    let (mut here, mut there) = (0, 0);
    let (mut found, mut expected) = (std::ptr::null_mut(), std::ptr::null_mut());
    loop {
        // SAFETY: both are dictionaries, which nobody changes meanwhile, as this thread holds the
        // interpreter's lock and runs no Python code. The borrowed values are only compared.
        unsafe {
            let no_key = std::ptr::null_mut();
            if ffi::PyDict_Next(before.as_ptr(), &raw mut there, no_key, &raw mut expected) == 0 {
                return true;
            }
            if ffi::PyDict_Next(now.as_ptr(), &raw mut here, no_key, &raw mut found) == 0 {
                return false;
            }
        }
        if found == expected {
            continue;
        }
        // SAFETY: it is an object, as above, and stays one: the dictionary has it.
        let other = unsafe { Bound::from_borrowed_ptr(now.py(), found) };
        let noticed = other.cast_exact::<Noticed>();
        if !noticed.is_ok_and(|noticed| noticed.get().plain.as_ptr() == expected) {
            return false;
        }
    }
}

/// A function that tells of its use, and is otherwise that function: equal to it, and no method of
/// a class that has it. It is no Python function, which would show in tracebacks.
#[pyclass(frozen, weakref, module = "rpytest._native")]
pub(crate) struct Noticed {
    #[pyo3(get)]
    plain: Py<PyAny>,
    tell: Py<PyAny>,
    /// Called before the function is, if it is called with named arguments.
    ahead: Option<Py<PyAny>>,
}

#[pymethods]
impl Noticed {
    #[new]
    #[pyo3(signature = (plain, tell, ahead=None))]
    fn new(plain: Py<PyAny>, tell: Py<PyAny>, ahead: Option<Py<PyAny>>) -> Self {
        Self { plain, tell, ahead }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        if let (Some(ahead), Some(kwargs)) = (&self.ahead, kwargs) {
            ahead.call1(py, (args, kwargs))?;
        } else if self.ahead.is_some() {
            // Then there is nothing to tell, either.
            return self.plain.call(py, args, kwargs);
        }
        let result = self.plain.call(py, args, kwargs);
        let answer = match &result {
            Ok(answer) => answer.clone_ref(py),
            Err(error)
                if error.is_instance_of::<PyOSError>(py)
                    || error.is_instance_of::<PyValueError>(py) =>
            {
                py.None()
            }
            Err(_) if self.ahead.is_none() => return result,
            // Whoever was told that it begins is told that it has ended.
            Err(_) => py.None(),
        };
        self.tell.call1(py, (args, kwargs, answer))?;
        result
    }

    fn __getattr__(&self, py: Python<'_>, name: &Bound<'_, PyString>) -> PyResult<Py<PyAny>> {
        self.plain.getattr(py, name)
    }

    /// What `isinstance` says, and with it `inspect.isbuiltin`.
    #[getter(__class__)]
    fn class(&self, py: Python<'_>) -> Py<PyAny> {
        self.plain.bind(py).get_type().into_any().unbind()
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        match other.cast::<Self>() {
            Ok(other) => Ok(self.plain.is(&other.get().plain)),
            Err(_) => self.plain.bind(py).eq(other),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.plain.bind(py).hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.plain.bind(py).repr()?.to_string())
    }

    /// A copy of a function is that function.
    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (Py<PyAny>,))> {
        let copy = py.import("copy")?.getattr("copy")?;
        Ok((copy.unbind(), (self.plain.clone_ref(py),)))
    }
}
