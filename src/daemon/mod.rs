//! The Python daemon: finding, starting, talking to and stopping it.

mod client;
mod identity;
mod import_path;
mod launch;
pub mod message;
mod socket_path;
mod status;
pub mod wire;

pub use client::{Link, Options, connect, exchange_error, replace, supersede};
pub use identity::umask;
pub use socket_path::Place;
pub use status::{status, stop};
