//! The Python daemon: finding, starting, talking to and stopping it.

mod admin;
mod client;
mod identity;
mod import_path;
mod launch;
pub mod message;
mod place;
pub mod wire;

pub use admin::{status, stop};
pub use client::{Link, Options, connect, exchange_error, replace, supersede};
pub use identity::umask;
pub use place::Place;
