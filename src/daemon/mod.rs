//! The Python daemon: finding, starting, talking to and stopping it.

mod client;
mod fixed_environment;
mod import_path;
mod launch;
pub mod message;
mod reach;
mod socket_path;
mod status;
mod stop;
pub mod wire;

pub use client::{Link, Options, connect, replace, supersede};
pub use fixed_environment::umask;
pub use reach::exchange_error;
pub use socket_path::Place;
pub use status::status;
pub use stop::stop;
