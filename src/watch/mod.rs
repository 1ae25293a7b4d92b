//! `--watch`: runs the tests again whenever something that they depend on changes, or a key asks
//! for it.
//!
//! The session says what it was made from ([`project`]); between two runs this process looks at
//! these files a few times a second. Each run is an ordinary one: what is here only says when, and
//! what comes first.

mod keys;
mod project;
mod turn;
mod watcher;

pub use turn::{Focus, Turn};
pub use watcher::watch;
