//! The `rpytest` command.

use std::io::Write;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::exit;

use rpytest::error::Error;

fn main() {
    panic::set_hook(Box::new(report_panic));
    // Unwinding lets go of what the run holds, its shared memory for one; the hook has already
    // spoken.
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        rpytest::app::run(std::env::args_os().skip(1))
    }));
    let status = match result {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            // Nobody to tell if stderr is closed; the exit status says it, too.
            let _ = std::io::stderr().write_all(error.render().as_bytes());
            error.exit_code()
        }
        Err(_) => rpytest::exit::INTERNAL_ERROR,
    };
    exit(status);
}

/// A panic is a bug of ours: say so instead of showing a backtrace.
fn report_panic(info: &PanicHookInfo<'_>) {
    let error = Error::Internal(info.to_string().replace('\n', " "));
    let _ = std::io::stderr().write_all(error.render().as_bytes());
}
