//! Connections to a socket where a daemon may listen, and what it means when they fail.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::wire::{Connection, WireError};
use crate::error::{Error, Result};

/// Connects to a listening daemon of ours; `None` when nobody listens there.
pub(super) fn reach(socket: &Path) -> Result<Option<Connection>> {
    let os = |doing| move |errno: Errno| Error::os(doing, errno.into());
    let address = SocketAddrUnix::new(socket).map_err(os("make a socket address"))?;
    let connection: OwnedFd = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(os("make a socket"))?;
    match rustix::io::retry_on_intr(|| rustix::net::connect(&connection, &address)) {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::CONNREFUSED | Errno::NOTSOCK | Errno::PROTOTYPE) => {
            return Ok(None);
        }
        Err(errno) => return Err(Error::io("connect to", socket, errno.into())),
    }
    let peer = rustix::net::sockopt::socket_peercred(&connection)
        .map_err(os("ask who the daemon belongs to"))?;
    if peer.uid != rustix::process::getuid() {
        return Err(Error::BadOption {
            message: format!(
                "the daemon at `{}` belongs to user {}",
                socket.display(),
                peer.uid.as_raw()
            ),
            hint: Some(
                "set `RPYTEST_RUNTIME_DIR` to a directory that only you can write to".into(),
            ),
        });
    }
    Ok(Some(Connection::new(connection)))
}

/// A failed exchange with the daemon as an error for the user.
#[must_use]
pub fn exchange_error(doing: &str, log: Option<&Path>, error: WireError) -> Error {
    match error {
        WireError::Malformed(what) => Error::protocol("daemon", what),
        WireError::Io(source)
            if matches!(
                source.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) =>
        {
            Error::WentAway {
                who: "daemon",
                doing: doing.into(),
                log: log.map(Into::into),
            }
        }
        WireError::Io(source) => Error::os("talk to the daemon", source),
    }
}
