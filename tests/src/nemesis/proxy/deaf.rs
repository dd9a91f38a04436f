//! Deaf sockets: the kernel drops all incoming packets before TCP sees them, acknowledgements too. It still sends. To the other end, the
//! network is silent in one direction.

use std::{io, os::fd::AsFd};

/// Whether this system supports it.
pub(super) const IS_POSSIBLE: bool = cfg!(target_os = "linux");

/// Makes a socket deaf. A listening socket then answers no connection.
#[cfg(target_os = "linux")]
pub(super) fn make(socket: &impl AsFd) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};
    /// A packet filter that keeps no byte of any packet.
    const RETURN: u16 = 0x06;
    SockRef::from(socket).attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])
}

/// Makes a socket receive again.
#[cfg(target_os = "linux")]
pub(super) fn heal(socket: &impl AsFd) -> io::Result<()> {
    socket2::SockRef::from(socket).detach_filter()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn make(_: &impl AsFd) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn heal(_: &impl AsFd) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
