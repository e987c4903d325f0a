//! TLS over a socket: one state machine for both directions, behind the two halves of a link.
//!
//! Lock order: an outbox's token (its writer, its queue) → the state machine. Nothing is read from the socket, sent to it, or called
//! while the state machine is locked. The reader reads ciphertext outside the lock, feeds it, and takes what it says; when the state machine has
//! something to send because of that (an alert, a new key, a part of the handshake), the reader asks the outbox for a flush and never writes itself.
//! What is encrypted is sent by whoever has the token, in the order in which it was encrypted.

use super::link::{Endpoint, Failure, Link, ReadHalf, WriteHalf, not_zero, send_without_blocking};
use super::outbox::Outbox;
use crate::guard::text::Escaped;
use crate::principal::Principal;
use crate::tls::{ClientCertificate, Tls};
use parking_lot::Mutex;
use rustls::{AlertDescription, ServerConnection};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Ciphertext that is read in one call. On the stack: a connection that is silent keeps nothing for it.
const PIECE: usize = 8 << 10;
/// Plaintext that waits in the state machine before no more is decrypted; a record has as much.
const DECRYPTED: usize = 16 << 10;
/// What is encrypted ahead of the socket: one record. It counts as written, so it is what a peer that does not read holds beyond
/// the limits of its outbox.
const AHEAD: usize = 16 << 10;

impl Tls {
    /// A connection whose handshake is still to be done: reading does it.
    pub(crate) fn link(&self, stream: Arc<TcpStream>) -> io::Result<Link> {
        let machine = self.begin().map_err(io::Error::other)?;
        let session = Arc::new(Session { stream, machine: Mutex::new(machine), plain: AtomicBool::new(false) });
        let read = TlsRead {
            session: Arc::clone(&session),
            outbox: Weak::new(),
            left: Vec::new(),
            begun: false,
            over: false,
            failure: None,
            certificate: None,
        };
        let write = TlsWrite { session: Arc::clone(&session), out: Vec::new(), sent: 0 };
        Ok(Link { read: Box::new(read), write: Box::new(write), endpoint: session })
    }
}

/// What both halves share.
struct Session {
    stream: Arc<TcpStream>,
    machine: Mutex<ServerConnection>,
    /// The peer speaks no TLS: all that will be written is a sentence that says so.
    plain: AtomicBool,
}

impl Endpoint for Session {
    fn shutdown(&self, how: Shutdown) {
        Endpoint::shutdown(&*self.stream, how);
    }

    fn socket(&self) -> Option<&TcpStream> {
        Some(&self.stream)
    }
}

struct TlsRead {
    session: Arc<Session>,
    /// Weak, as the outbox has the other half.
    outbox: Weak<Outbox>,
    /// Ciphertext that was read and not fed: there was plaintext enough.
    left: Vec<u8>,
    begun: bool,
    /// There is no session any more; what still comes is read away.
    over: bool,
    failure: Option<Failure>,
    certificate: Option<Principal>,
}

impl TlsRead {
    /// Feeds ciphertext (nothing is the end of the stream), and reads what it says.
    fn feed(&mut self, mut fresh: &[u8], buffer: &mut [u8]) -> io::Result<usize> {
        let mut machine = self.session.machine.lock();
        let handshaking = machine.is_handshaking();
        let fed = loop {
            if let Err(error) = machine.read_tls(&mut fresh) {
                break Err((error.to_string(), false));
            }
            match machine.process_new_packets() {
                Err(error) => break Err((explain(&error), matches!(error, rustls::Error::InvalidCertificate(_)))),
                // A session that is over takes no more; what is behind its end is nothing (RFC 8446, 6.1).
                Ok(state) if state.peer_has_closed() => break Ok(&[][..]),
                Ok(state) if fresh.is_empty() || state.plaintext_bytes_to_read() > DECRYPTED => break Ok(fresh),
                Ok(_) => {}
            }
        };
        let read = machine.reader().read(buffer);
        let wants_write = machine.wants_write();
        let begun = handshaking && !machine.is_handshaking();
        drop(machine);
        if begun && !wants_write {
            acknowledge(&self.session.stream);
        }
        if wants_write && let Some(outbox) = self.outbox.upgrade() {
            outbox.kick();
        }
        match fed {
            Ok(left) => self.left.extend_from_slice(left),
            Err((reason, certificate)) => {
                log::debug!(target: "mcp_blocking::tls", "a session has failed: {}", Escaped::short(&reason));
                return Err(self.fail(Failure::Handshake { reason, certificate }));
            }
        }
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::Interrupted.into()),
            read => read,
        }
    }

    fn fail(&mut self, why: Failure) -> io::Error {
        (self.over, self.failure) = (true, Some(why));
        io::ErrorKind::InvalidData.into()
    }
}

impl ReadHalf for TlsRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.over {
            // What it says is nobody's business any more, only that it comes.
            let count = (&*self.session.stream).read(buffer)?;
            buffer.fill(0);
            return Ok(count);
        }
        match self.session.machine.lock().reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        if !self.left.is_empty() {
            let left = std::mem::take(&mut self.left);
            return self.feed(&left, buffer);
        }
        let mut piece = [0; PIECE];
        // It may block for as long as the peer is silent.
        let count = (&*self.session.stream).read(&mut piece)?;
        let fresh = piece.get(..count).unwrap_or_default();
        // A record begins with a number below 32; HTTP begins with a letter.
        if !std::mem::replace(&mut self.begun, true) && fresh.first().is_some_and(u8::is_ascii_alphabetic) {
            self.session.plain.store(true, Ordering::Release);
            return Err(self.fail(Failure::Plain));
        }
        self.feed(fresh, buffer)
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.session.stream.set_read_timeout(not_zero(timeout))
    }

    fn attach(&mut self, outbox: &Arc<Outbox>) {
        self.outbox = Arc::downgrade(outbox);
    }

    fn certificate(&mut self) -> Option<Principal> {
        if self.certificate.is_none() {
            let machine = self.session.machine.lock();
            let leaf = machine.peer_certificates().and_then(<[_]>::first).cloned();
            drop(machine);
            self.certificate = leaf.map(|leaf| ClientCertificate::new(&leaf).into_principal());
        }
        self.certificate.clone()
    }

    fn failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }
}

struct TlsWrite {
    session: Arc<Session>,
    /// Ciphertext that is made and not sent.
    out: Vec<u8>,
    sent: usize,
}

impl TlsWrite {
    fn is_plain(&self) -> bool {
        self.session.plain.load(Ordering::Acquire)
    }

    /// Takes what the state machine has made.
    fn collect(out: &mut Vec<u8>, machine: &mut ServerConnection) -> io::Result<()> {
        while machine.wants_write() {
            machine.write_tls(out)?;
        }
        Ok(())
    }

    fn encrypt(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut machine = self.session.machine.lock();
        if machine.is_handshaking() {
            // Too early for an answer, and nothing but an answer that ends the connection can come now. It cannot be told; what
            // can be is that this is the end.
            return Ok(parts.iter().map(|part| part.len()).sum());
        }
        let taken = match parts {
            [one] => machine.writer().write(one.get(..AHEAD).unwrap_or(one))?,
            many => {
                // One record for all, not one for the head of each frame.
                let mut gathered = Vec::with_capacity(AHEAD);
                for part in many {
                    let room = AHEAD - gathered.len();
                    gathered.extend_from_slice(part.get(..room).unwrap_or(part));
                }
                machine.writer().write(&gathered)?
            }
        };
        Self::collect(&mut self.out, &mut machine)?;
        Ok(taken)
    }
}

impl WriteHalf for TlsWrite {
    fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_plain() {
            return send_without_blocking(&self.session.stream, parts);
        }
        // Nothing is encrypted while the last record is stuck: so what is ahead stays small, and a frame that counts as written is
        // at most a record away from being so.
        self.flush()?;
        let taken = self.encrypt(parts)?;
        match self.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn pending(&self) -> bool {
        !self.is_plain() && (!self.out.is_empty() || self.session.machine.lock().wants_write())
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
                match send_without_blocking(&self.session.stream, &[IoSlice::new(rest)]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    sent => self.sent += sent?,
                }
            }
            // A client that is silent keeps nothing for what it was sent.
            (self.out, self.sent) = (Vec::new(), 0);
            Self::collect(&mut self.out, &mut self.session.machine.lock())?;
            if self.out.is_empty() {
                return Ok(());
            }
        }
    }

    fn end(&mut self) {
        if !self.is_plain() {
            self.session.machine.lock().send_close_notify();
        }
    }
}

/// Acknowledges at once what was read. At the end of a handshake there is nothing to send, as there are no tickets; a client that
/// sends no more before it has the acknowledgement (Nagle's algorithm) would wait 40 ms for it.
fn acknowledge(stream: &TcpStream) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(stream).set_tcp_quickack(true);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = stream;
}

/// Why a session has failed, for the log.
fn explain(error: &rustls::Error) -> String {
    use AlertDescription as Alert;
    use rustls::Error;
    match error {
        Error::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied),
        ) => format!("the client does not accept the server's certificate ({alert:?})"),
        Error::AlertReceived(alert) => format!("the client gave up ({alert:?})"),
        Error::NoCertificatesPresented => "the client has sent no certificate".to_owned(),
        Error::InvalidCertificate(why) => format!("the client's certificate is not accepted: {why}"),
        Error::NoApplicationProtocol => {
            "the client offers protocols (ALPN), and http/1.1 is not one of them".to_owned()
        }
        Error::PeerIncompatible(why) => format!("the client has no TLS 1.2 or 1.3 that fits: {why:?}"),
        other => other.to_string(),
    }
}
