//! `rpytest._native`: a worker's end of the segment, for Python; and what Python can't do, or not fast enough.
//!
//! Thin on purpose: everything that can be wrong about shared memory is in `rpytest::shm`. Here it is only made
//! callable, with the interpreter's lock held in the usual case (taking it again costs more than writing a record) and
//! released while a worker waits for room.

use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use rpytest::process;
use rpytest::shm::{self, Outgoing, Phase, PushError, SegmentError, SlotHandle, WorkerEnd};

/// How often a worker without work looks whether another one is held up.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// The shared memory of one run.
#[pyclass(frozen, module = "rpytest._native")]
struct Segment {
    segment: Arc<shm::Segment>,
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

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.segment.name()
    }
}

/// A worker's end of a segment. Its methods may be called from any thread, `claim` and `push` from one at a time.
#[pyclass(frozen, module = "rpytest._native")]
struct Worker {
    end: Mutex<WorkerEnd>,
    handle: SlotHandle,
}

#[pymethods]
impl Worker {
    #[new]
    fn new(
        segment: &Segment,
        slot: u16,
        incarnation: u16,
        bell: i32,
        spill: i32,
    ) -> PyResult<Self> {
        let end = WorkerEnd::attach(segment.segment.clone(), slot, incarnation, bell, spill)
            .map_err(segment_error)?;
        Ok(Self {
            handle: end.handle().clone(),
            end: Mutex::new(end),
        })
    }

    /// Takes a test; −1 when there is none left or the run was stopped.
    fn claim(&self) -> PyResult<i64> {
        Ok(exclusive(&self.end)?.claim().map_or(-1, i64::from))
    }

    /// For a worker without a test: takes one as soon as there is one that is worth it; −1 when none is left that could be.
    fn linger(&self, py: Python<'_>) -> PyResult<i64> {
        let mut end = exclusive(&self.end)?;
        // Its last test is torn down and recorded: nobody waits for it any more.
        end.idle();
        loop {
            if let Some(test) = end.claim() {
                return Ok(test.into());
            }
            if !end.may_ask_again() {
                return Ok(-1);
            }
            py.detach(|| std::thread::sleep(ASK_AGAIN));
            py.check_signals()?;
        }
    }

    /// A fresh worker in the place of this one would take so many microseconds to get as far as this one is.
    fn set_fork_cost(&self, us: u64) -> PyResult<()> {
        exclusive(&self.end)?.set_fork_cost(us);
        Ok(())
    }

    /// The test is in flight from now on, in setup.
    fn begin(&self, test: u32) {
        self.handle.begin(test);
    }

    /// The test in flight is in its setup (0), call (1) or teardown (2).
    fn phase(&self, phase: u8) -> PyResult<()> {
        let phase = Phase::from_number(phase)
            .ok_or_else(|| PyValueError::new_err(format!("there is no phase {phase}")))?;
        self.handle.phase(phase);
        Ok(())
    }

    /// No test is in flight.
    fn idle(&self) {
        self.handle.idle();
    }

    /// Writes a record; waits while the ring is full.
    #[pyo3(signature = (kind, flags, test, body, urgent, attempt=0))]
    #[allow(clippy::too_many_arguments, reason = "in Python they are one record")]
    fn push(
        &self,
        py: Python<'_>,
        kind: u8,
        flags: u8,
        test: u32,
        body: &[u8],
        urgent: bool,
        attempt: u16,
    ) -> PyResult<()> {
        let record = Outgoing {
            kind,
            flags,
            test,
            attempt,
            body,
            urgent,
        };
        let mut end = exclusive(&self.end)?;
        while !end.try_push(&record).map_err(push_error)? {
            let end = &mut *end;
            py.detach(|| end.wait_for_space(&record))
                .map_err(push_error)?;
            // Signal handlers run here, so Ctrl-C ends the wait.
            py.check_signals()?;
        }
        Ok(())
    }

    /// Nobody, in no worker, claims a test any more.
    fn stop(&self) {
        self.handle.stop();
    }

    /// Whether the program or any worker stopped the run.
    fn stopped(&self) -> bool {
        self.handle.stopped()
    }

    /// What it counted so far: claims, steals, records, spills, rings of the bell, waits for room, waits in vain.
    fn counters(&self) -> PyResult<(u64, u64, u64, u64, u64, u64, u64)> {
        let counted = exclusive(&self.end)?.counters();
        Ok((
            counted.claims,
            counted.steals,
            counted.records,
            counted.spills,
            counted.rings,
            counted.waits,
            counted.timeouts,
        ))
    }
}

/// Asks the kernel to kill this process when the one that forked it ends, however it ends.
///
/// The parent may be gone already: the caller compares `os.getppid()` afterwards.
#[pyfunction]
fn die_with_parent() -> PyResult<()> {
    process::die_with_parent().map_err(|error| PyOSError::new_err(error.to_string()))
}

/// Whether descendants of this process become its children when their parents end.
#[pyfunction]
fn adopt_orphans(yes: bool) -> PyResult<()> {
    process::adopt_orphans(yes).map_err(|error| PyOSError::new_err(error.to_string()))
}

/// The ranges of pages, start and length, that this process has for itself.
#[pyfunction]
fn own_pages() -> PyResult<Vec<process::PageRange>> {
    process::own_pages().map_err(|error| PyOSError::new_err(error.to_string()))
}

/// Gives this process copies of its own of these pages, before it needs them.
#[pyfunction]
fn copy_pages(ranges: Vec<process::PageRange>) {
    process::copy_pages(&ranges);
}

/// Whether the values of `now` begin with the very objects that are the values of `before`, in the same order. A function whose
/// use is noticed for a while stands for itself.
///
/// Counts no references: in a forked process each count that is changed costs the copy of a page.
#[pyfunction]
fn begins_with(now: &Bound<'_, PyDict>, before: &Bound<'_, PyDict>) -> bool {
    let (mut here, mut there) = (0, 0);
    let (mut found, mut expected) = (std::ptr::null_mut(), std::ptr::null_mut());
    loop {
        // SAFETY: both are dictionaries, which nobody changes meanwhile, as this thread holds the interpreter's lock and
        // runs no Python code. The borrowed values are only compared.
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

/// Calls `function` between two instructions of the main thread; `false` when too many calls are pending.
#[pyfunction]
fn call_soon(function: Py<PyAny>) -> bool {
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
        // SAFETY: the reference is the one that `call_soon` has given away, and each call is made once.
        let function = unsafe { Bound::from_owned_ptr(py, function.cast()) };
        // There is nobody to whom an exception would mean anything.
        let _ = function.call0();
    });
    0
}

/// A function that tells of its use, and is otherwise that function: equal to it, and no method of a class that has it. It is
/// no Python function, which would show in tracebacks.
#[pyclass(frozen, weakref, module = "rpytest._native")]
struct Noticed {
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

/// Never waits for another thread: it may be the one that waits for room with the interpreter's lock released, and a
/// signal handler of this very thread may call back into the worker.
fn exclusive(end: &Mutex<WorkerEnd>) -> PyResult<std::sync::MutexGuard<'_, WorkerEnd>> {
    match end.try_lock() {
        Ok(end) => Ok(end),
        // What a panic left half done is at most an uncommitted record.
        Err(TryLockError::Poisoned(end)) => Ok(end.into_inner()),
        Err(TryLockError::WouldBlock) => Err(PyRuntimeError::new_err(
            "`claim` or `push` was called while another call of the same worker was running",
        )),
    }
}

fn segment_error(error: SegmentError) -> PyErr {
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

fn push_error(error: PushError) -> PyErr {
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

/// The worker's side of rpytest's shared memory.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Noticed>()?;
    module.add_class::<Segment>()?;
    module.add_class::<Worker>()?;
    module.add_function(wrap_pyfunction!(adopt_orphans, module)?)?;
    module.add_function(wrap_pyfunction!(begins_with, module)?)?;
    module.add_function(wrap_pyfunction!(call_soon, module)?)?;
    module.add_function(wrap_pyfunction!(copy_pages, module)?)?;
    module.add_function(wrap_pyfunction!(own_pages, module)?)?;
    module.add_function(wrap_pyfunction!(die_with_parent, module)?)
}
