//! The messages of the control channel as types; `docs/design/protocol.md` describes each.
//!
//! Unknown fields and unknown events are accepted, so that a newer Python side can say more.

mod host;
mod options;
mod request;
mod status;
#[cfg(test)]
mod tests;
mod text;

pub use host::{
    Collected, Died, Exit, Fixtures, HostEvent, HostRequest, HostStop, ShardAnswer, ShardQuestion,
};
pub use options::{Junit, Options, Order, Shard};
pub use request::{BUILD, PROTOCOL, RunRequest, Tty, build};
pub use status::{DaemonStatus, PlainRequest, PreloadStatus, SessionStatus};
pub use text::{Environment, SystemText};
