//! Sockets that hear nothing: the kernel drops whatever comes in before TCP sees it, acknowledgements as well, and still sends. That
//! is a network that is silent in one direction, as the other end sees it.

use std::{io, os::fd::AsFd};

/// Whether this system can do it.
pub(super) const IS_POSSIBLE: bool = cfg!(target_os = "linux");

/// Makes a socket deaf; a listening one is not heard to answer either.
#[cfg(target_os = "linux")]
pub(super) fn make(socket: &impl AsFd) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};
    /// A filter of packets that ends, and keeps no byte of any.
    const RETURN: u16 = 0x06;
    SockRef::from(socket).attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])
}

/// Lets it hear again.
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
