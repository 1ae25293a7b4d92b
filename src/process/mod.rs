//! What the workers' own processes need from the system beside the shared memory: memory pages that
//! are copied ahead of time, and parents that end. The program does not use it; the Python
//! extension makes it callable.

mod pages;
mod parents;

pub use pages::{PageRange, copy_pages, own_pages};
pub use parents::{adopt_orphans, die_with_parent};
