//! One message a line, over any pair of byte streams (basic/transports: stdio). The streams may block for ever, and cannot be waited
//! for together with anything; so a thread of each pumps between them and a local socket, and on that everything is as on
//! any other connection: outbox, deadlines, budgets.

use crate::engine::Core;
use crate::engine::connection::Connection;
use crate::engine::framing::Framing;
use crate::engine::link::{self, Link, ReadHalf};
use crate::engine::outbox::{Body, Flush, Frame};
use crate::engine::pool::Abandon;
use crate::engine::reading;
use crate::guard::address::ClientAddr;
use crate::service::{AnyService, Ended, Message, Peer, SessionBox, Text};
use crate::transport::opening::panicked;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long requests that were read may go on behind the end of the input.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether they have ended.
const GLANCE: Duration = Duration::from_millis(2);

struct LineFraming;

impl Framing for LineFraming {
    fn text(&self, body: Body) -> Frame {
        // JSON escapes line breaks in texts, and nothing here writes them elsewhere; what an author brings as raw JSON may have some.
        let mut line = Vec::with_capacity(body.bytes().len() + 1);
        line.extend(body.bytes().iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        line.push(b'\n');
        Frame::raw(line)
    }

    fn binary(&self, body: Body) -> Frame {
        self.text(body)
    }

    fn ping(&self) -> Option<Frame> {
        None
    }

    fn is_guarded(&self) -> bool {
        // Whoever has the other end of the streams was given it.
        false
    }

    fn close(&self, _code: u16, _reason: &str) -> Option<Frame> {
        None
    }
}

/// A pair of streams to be served.
pub(crate) struct Pipe {
    pub(crate) read: Box<dyn Read + Send>,
    pub(crate) write: Box<dyn Write + Send>,
}

struct Entered(Arc<Connection>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.end();
        self.0.core.leave(self.0.id);
        self.0.outbox.close();
    }
}

/// Serves a pair of streams until the end of the input, or of the server. Blocks for as long.
///
/// # Errors
/// The system gives no sockets or threads.
pub(crate) fn serve(core: &Arc<Core>, service: &Arc<dyn AnyService>, path: Arc<str>, pipe: Pipe) -> io::Result<()> {
    reading::begin();
    let (ours, theirs) = local::pair()?;
    let written = pump(theirs, pipe)?;
    let Link { mut read, write, endpoint } = ours;
    let outbox = core.outbox(write, endpoint);
    read.attach(&outbox);
    // No address is behind it: that of this machine stands for it.
    let address = ClientAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let connection = Connection::new(Arc::clone(core), &LineFraming, outbox, address, None, path);
    core.enter(&connection);
    let entered = Entered(Arc::clone(&connection));
    connection.watch();
    let id = connection.id;
    log::info!(target: "mcp_blocking::connection", connection = id.0; "connection {id} opened over a pair of streams");
    core.audit.connected(connection.party(), "stream", &connection.path);
    // Out here, so that it is closed whatever happens in there.
    let mut session = SessionBox::empty();
    let served =
        catch_unwind(AssertUnwindSafe(|| converse(&mut *read, &connection, Arc::clone(service), &mut session)));
    let ended = served.unwrap_or_else(|_| {
        panicked(&connection);
        Ended::ByServer
    });
    connection.lane.abandon(Abandon::Disconnected);
    connection.outbox.flush();
    if catch_unwind(AssertUnwindSafe(|| session.close(ended))).is_err() {
        panicked(&connection);
    }
    connection.close(1000, "", Flush::Now);
    connection.outbox.wait_written(Instant::now() + connection.outbox.write_deadline());
    drop(entered);
    // The last answers are on their way through the pump.
    let _ = written.recv_timeout(core.limits.write_deadline);
    log::info!(target: "mcp_blocking::connection", connection = id.0; "connection {id} ended");
    core.audit.disconnected(connection.party(), "the streams ended");
    Ok(())
}

/// Opens the session and reads for it; how that has ended.
fn converse(
    read: &mut dyn ReadHalf,
    connection: &Arc<Connection>,
    service: Arc<dyn AnyService>,
    session: &mut SessionBox,
) -> Ended {
    *session = match service.open(&Peer::new(connection)) {
        Ok(session) => session,
        Err(_) => return Ended::ByServer,
    };
    let ended = lines(read, connection, session);
    let until = Instant::now() + GRACE;
    while connection.lane.live() > 0 && Instant::now() < until && !connection.is_closing() {
        std::thread::sleep(GLANCE);
    }
    ended
}

/// Reads lines until there are no more.
fn lines(read: &mut dyn ReadHalf, connection: &Connection, session: &mut SessionBox) -> Ended {
    // A carriage return at the end is not of the message.
    let most = connection.core.limits.message_bytes.saturating_add(1);
    let mut buffer = vec![0; 8 << 10];
    let mut line: Vec<u8> = Vec::new();
    let mut too_long = false;
    loop {
        // What was answered meanwhile must not wait for the next message.
        connection.outbox.flush();
        let count = match read.read(&mut buffer) {
            Ok(0) if connection.is_closing() => return Ended::ByServer,
            Ok(0) => {
                // Who writes one message and leaves may have left its line break out.
                ended(connection, session, &line, too_long);
                return Ended::ByPeer(None);
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Ended::Lost,
        };
        let mut bytes = buffer.get(..count).unwrap_or_default();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (rest, after) = (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default());
            bytes = after;
            too_long |= line.len() + rest.len() > most;
            if !too_long {
                line.extend_from_slice(rest);
            }
            ended(connection, session, &line, std::mem::take(&mut too_long));
            line.clear();
        }
        if line.len() + bytes.len() > most {
            // The rest of it is not kept.
            too_long = true;
            line = Vec::new();
        } else if !too_long {
            line.extend_from_slice(bytes);
        }
        if line.capacity() > 64 << 10 && line.is_empty() {
            line = Vec::new();
        }
    }
}

/// A line has come to its end.
fn ended(connection: &Connection, session: &mut SessionBox, line: &[u8], too_long: bool) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if too_long || line.len() > connection.core.limits.message_bytes {
        return refuse(connection, session, "it is too long");
    }
    if line.trim_ascii().is_empty() {
        return;
    }
    match std::str::from_utf8(line) {
        Ok(text) => session.message(connection, Message::Text(Text::from(text.to_owned()))),
        Err(_) => refuse(connection, session, "it is not UTF-8"),
    }
}

/// A line that is no message: the session says so in its own way.
fn refuse(connection: &Connection, session: &mut SessionBox, why: &str) {
    log::warn!(target: "mcp_blocking::connection", connection = connection.id.0; "connection {}: a line is refused: {why}", connection.id);
    session.message(connection, Message::Text(Text::from(String::new())));
}

/// Starts the threads between the streams and the socket. The receiver hears when all was written.
fn pump(socket: local::Socket, pipe: Pipe) -> io::Result<Receiver<()>> {
    let Pipe { mut read, mut write } = pipe;
    let (done, written) = channel();
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.into()).stack_size(256 << 10).spawn(work).map(drop)
    };
    let mut out = socket.try_clone()?;
    spawn(
        "mcp-pipe-out",
        Box::new(move || {
            let mut buffer = vec![0; 16 << 10];
            loop {
                match out.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => {
                        let sent =
                            write.write_all(buffer.get(..count).unwrap_or_default()).and_then(|()| write.flush());
                        if sent.is_err() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            drop(write);
            // Nobody reads any more, or nothing follows: the other side need not wait.
            let _ = out.shutdown(std::net::Shutdown::Both);
            let _ = done.send(());
        }),
    )?;
    let mut input = socket;
    spawn(
        "mcp-pipe-in",
        Box::new(move || {
            let mut buffer = vec![0; 16 << 10];
            loop {
                match read.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) if input.write_all(buffer.get(..count).unwrap_or_default()).is_ok() => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => break,
                }
            }
            let _ = input.shutdown(std::net::Shutdown::Write);
        }),
    )?;
    Ok(written)
}

#[cfg(unix)]
mod local {
    use super::{Link, link};
    use std::io;
    pub(super) use std::os::unix::net::UnixStream as Socket;

    pub(super) fn pair() -> io::Result<(Link, Socket)> {
        let (ours, theirs) = Socket::pair()?;
        Ok((link::local(ours), theirs))
    }
}

/// Without local sockets, a connection with oneself, and with nobody else.
#[cfg(not(unix))]
mod local {
    use super::{Link, link};
    use std::io;
    pub(super) use std::net::TcpStream as Socket;
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::Arc;

    pub(super) fn pair() -> io::Result<(Link, Socket)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let theirs = Socket::connect(listener.local_addr()?)?;
        loop {
            let (ours, address) = listener.accept()?;
            if address == theirs.local_addr()? {
                ours.set_nodelay(true)?;
                theirs.set_nodelay(true)?;
                return Ok((link::plain(Arc::new(ours)), theirs));
            }
        }
    }
}

/// Standard output for messages alone: until this is dropped, what the program prints goes to standard error.
#[cfg(unix)]
pub(crate) fn take_stdout() -> io::Result<(Box<dyn Write + Send>, impl Send + 'static)> {
    struct Restore(std::os::fd::OwnedFd);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = io::stdout().flush();
            let _ = rustix::stdio::dup2_stdout(&self.0);
        }
    }
    io::stdout().flush()?;
    let ours = rustix::io::dup(rustix::stdio::stdout())?;
    let saved = rustix::io::dup(&ours)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok((Box::new(std::fs::File::from(ours)), Restore(saved)))
}

/// There, what the program prints does reach standard output.
#[cfg(not(unix))]
pub(crate) fn take_stdout() -> io::Result<(Box<dyn Write + Send>, impl Send + 'static)> {
    Ok((Box::new(io::stdout()), ()))
}
