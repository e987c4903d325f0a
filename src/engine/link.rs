//! The socket in two halves: one thread reads, whoever has the outbox's token writes, anybody may shut it down.
//!
//! Plain TCP and local sockets are below; TLS is in `link_tls.rs`.

use super::outbox::Outbox;
use crate::principal::Principal;
use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// The reading side, owned by the connection's thread.
pub(crate) trait ReadHalf: Send {
    /// Reads some bytes; 0 is the end. Blocks up to the time last set. [`io::ErrorKind::Interrupted`] means that something came
    /// and nothing of it is for the caller, who asks again if there is time left: so no peer can keep a deadline from being noticed.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// How long a read may block; `None` is for ever.
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;
    /// Tells where the other half has gone, for a reader that has to have something sent: it calls
    /// [`Outbox::kick`], and never writes itself. Called once, before the first read.
    fn attach(&mut self, outbox: &Arc<Outbox>) {
        let _ = outbox;
    }
    /// Who the peer has proven to be by a certificate, where the link has those.
    fn certificate(&mut self) -> Option<Principal> {
        None
    }
    /// Why reading has failed, where the link has more to say than an error has.
    fn failure(&mut self) -> Option<Failure> {
        None
    }
}

/// Why nothing can be read from a link, and never will.
#[derive(Debug)]
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only TLS fails before anything can be said"))]
pub(crate) enum Failure {
    /// The peer does not encrypt, and should. What is written from now on reaches it as it is.
    Plain,
    /// The secure session could not be begun, and the peer has been told so in the link's own way; nothing else reaches it.
    Handshake {
        reason: String,
        /// The peer has sent a certificate that is not accepted.
        certificate: bool,
    },
}

/// The writing side, used under the outbox's token.
pub(crate) trait WriteHalf: Send {
    /// Takes as many bytes as fit without blocking; [`io::ErrorKind::WouldBlock`] if none does.
    fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Something was taken, or made by the half itself, and is not sent. Plain sockets keep nothing back.
    fn pending(&self) -> bool {
        false
    }
    /// Sends that, without blocking.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// The last byte was taken, and the sending side is about to be shut down: a half with a farewell of its own makes it
    /// pending here.
    fn end(&mut self) {}
}

/// For a client of TLS that is turned away before anything of it is read: the fatal alert `internal_error` (RFC 8446, 6.2), in a
/// record of its own.
pub(crate) const TLS_TURNED_AWAY: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// What anybody may do to a connection.
pub(crate) trait Endpoint: Send + Sync {
    fn shutdown(&self, how: Shutdown);
    /// The TCP socket, if it is one.
    fn socket(&self) -> Option<&TcpStream>;
    /// What to poll for writability.
    #[cfg(unix)]
    fn pollable(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.socket().map(std::os::fd::AsFd::as_fd)
    }
}

impl Endpoint for TcpStream {
    fn shutdown(&self, how: Shutdown) {
        // Fails only when the peer has gone already.
        let _ = TcpStream::shutdown(self, how);
    }

    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

/// Both halves of a connection and its handle.
pub(crate) struct Link {
    pub(crate) read: Box<dyn ReadHalf>,
    pub(crate) write: Box<dyn WriteHalf>,
    pub(crate) endpoint: Arc<dyn Endpoint>,
}

/// A plain TCP connection. The halves share the one descriptor.
pub(crate) fn plain(stream: Arc<TcpStream>) -> Link {
    Link {
        read: Box::new(PlainRead(Arc::clone(&stream))),
        write: Box::new(PlainWrite(Arc::clone(&stream))),
        endpoint: stream,
    }
}

struct PlainRead(Arc<TcpStream>);

impl ReadHalf for PlainRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &*self.0, buffer)
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(not_zero(timeout))
    }
}

/// A zero duration is an error to the standard library; here it means "at once".
pub(super) fn not_zero(timeout: Option<Duration>) -> Option<Duration> {
    timeout.map(|time| time.max(Duration::from_millis(1)))
}

struct PlainWrite(Arc<TcpStream>);

impl WriteHalf for PlainWrite {
    fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        send_without_blocking(&self.0, parts)
    }
}

/// A local connection. The halves share the one descriptor.
#[cfg(unix)]
pub(crate) fn local(stream: UnixStream) -> Link {
    let stream = Arc::new(stream);
    Link {
        read: Box::new(LocalHalf(Arc::clone(&stream))),
        write: Box::new(LocalHalf(Arc::clone(&stream))),
        endpoint: stream,
    }
}

#[cfg(unix)]
struct LocalHalf(Arc<UnixStream>);

#[cfg(unix)]
impl ReadHalf for LocalHalf {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &*self.0, buffer)
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(not_zero(timeout))
    }
}

#[cfg(unix)]
impl WriteHalf for LocalHalf {
    fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        send_without_blocking(&*self.0, parts)
    }
}

#[cfg(unix)]
impl Endpoint for UnixStream {
    fn shutdown(&self, how: Shutdown) {
        let _ = UnixStream::shutdown(self, how);
    }

    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn pollable(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(self))
    }
}

/// Sends what fits into the socket's buffer, though the socket itself blocks (its reader wants that).
#[cfg(unix)]
pub(crate) fn send_without_blocking(stream: impl std::os::fd::AsFd, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    use rustix::net::SendFlags;
    #[cfg(target_vendor = "apple")]
    let flags = SendFlags::DONTWAIT;
    #[cfg(not(target_vendor = "apple"))]
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let sent = match parts {
        [one] => rustix::net::send(stream, one, flags)?,
        many => rustix::net::sendmsg(stream, many, &mut rustix::net::SendAncillaryBuffer::default(), flags)?,
    };
    Ok(sent)
}

/// Windows has no flag for one call; it asks first and then sends a piece that a writable socket takes.
#[cfg(not(unix))]
pub(crate) fn send_without_blocking(stream: &TcpStream, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(stream, PollFlags::OUT)];
    if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let Some(part) = parts.iter().find(|part| !part.is_empty()) else { return Ok(0) };
    io::Write::write(&mut &*stream, &part[..part.len().min(4 << 10)])
}
