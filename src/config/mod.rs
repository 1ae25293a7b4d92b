//! `[tool.rpytest]` in `pyproject.toml`.
//!
//! The file is found as ruff and pytest find theirs: from the current directory upwards, the
//! nearest `pyproject.toml` *that has the table*. One without it (a package inside a larger
//! repository) doesn't end the search. Files are not merged.
//!
//! A file that never mentions rpytest costs one read and a byte search; what is wrong in it is
//! pytest's business.

mod settings;
mod workers;

pub use settings::{DEFAULT_IDLE_TIMEOUT, SessionFixtures, Settings, StartMethod, load};
pub use workers::Workers;
