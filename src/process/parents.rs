//! What becomes of a process when its parent ends.

/// Whether descendants of this process become its children when their own parents end: somebody has
/// to end what a killed process has left running.
///
/// # Errors
///
/// The system call's.
pub fn adopt_orphans(yes: bool) -> std::io::Result<()> {
    // Any process id means yes.
    let own = rustix::process::getpid();
    Ok(rustix::process::set_child_subreaper(yes.then_some(own))?)
}

/// Asks the kernel to kill this process when its parent ends: a worker must not outlive the host
/// that watches it.
///
/// # Errors
///
/// The system call's.
pub fn die_with_parent() -> std::io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(
        rustix::process::Signal::KILL,
    ))?)
}
