//! TLS over the traits of a link: one state machine for both directions, and the real WebSocket path above it.

use super::*;
use crate::engine::Core;
use crate::engine::outbox::Outbox;
use crate::guard::address::ClientAddr;
use crate::limits::Limits;
use crate::service::{AnyService, Ended, Message, Peer, Service};
use crate::settings::Settings;
use crate::transport::accept::{Door, Seat};
use crate::transport::gate::{Gate, Route};
use crate::transport::opening;
use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::net::TcpListener;
use std::sync::Weak;
use std::thread::JoinHandle;
use std::time::Instant;
use tungstenite::WebSocket;

const LONG: Duration = Duration::from_secs(20);

/// A connection behind its handshake. Lock order: the outbox's token and queue → `session`; nothing is called, read or sent
/// while `session` is locked.
struct Tls {
    stream: TcpStream,
    session: Mutex<ServerConnection>,
}

impl Endpoint for Tls {
    fn shutdown(&self, how: Shutdown) {
        let _ = self.stream.shutdown(how);
    }

    fn socket(&self) -> Option<&TcpStream> {
        Some(&self.stream)
    }
}

struct TlsRead {
    tls: Arc<Tls>,
    /// For what the state machine wants to say because of what it has read. Weak, as the outbox has the other half.
    outbox: Weak<Outbox>,
    raw: Vec<u8>,
    /// What of `raw` has not been fed yet.
    fresh: std::ops::Range<usize>,
}

impl ReadHalf for TlsRead {
    fn attach(&mut self, outbox: &Arc<Outbox>) {
        self.outbox = Arc::downgrade(outbox);
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match io::Read::read(&mut self.tls.session.lock().reader(), buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            let mut over = false;
            if self.fresh.is_empty() {
                // Outside the lock: it may block for as long as the peer is silent.
                let count = io::Read::read(&mut &self.tls.stream, &mut self.raw)?;
                self.fresh = 0..count;
                over = count == 0;
            }
            let (processed, wants_write) = {
                let mut session = self.tls.session.lock();
                let mut fresh = &self.raw[self.fresh.clone()];
                // Nothing left is how the end is told.
                let fed = session.read_tls(&mut fresh)?;
                self.fresh.start += fed;
                let processed = session.process_new_packets();
                (processed.map(|state| state.peer_has_closed()), session.wants_write())
            };
            if wants_write && let Some(outbox) = self.outbox.upgrade() {
                outbox.kick();
            }
            match processed {
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
                Ok(false) if over => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
            }
        }
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.tls.stream.set_read_timeout(timeout.map(|time| time.max(Duration::from_millis(1))))
    }
}

struct TlsWrite {
    tls: Arc<Tls>,
    /// Ciphertext that is made and not sent.
    out: Vec<u8>,
    sent: usize,
}

impl TlsWrite {
    /// What is encrypted ahead of the socket.
    const AHEAD: usize = 64 << 10;

    /// Takes what the state machine has made.
    fn collect(&mut self, session: &mut ServerConnection) -> io::Result<()> {
        while session.wants_write() {
            session.write_tls(&mut self.out)?;
        }
        Ok(())
    }
}

impl WriteHalf for TlsWrite {
    fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        // Nothing new is encrypted while the last piece is stuck, so that whole frames count as written when they are.
        self.flush()?;
        let tls = Arc::clone(&self.tls);
        let mut taken = 0;
        {
            let mut session = tls.session.lock();
            for part in parts {
                let most = part.len().min(Self::AHEAD - taken);
                let count = io::Write::write(&mut session.writer(), &part[..most])?;
                taken += count;
                if count < part.len() {
                    break;
                }
            }
            self.collect(&mut session)?;
        }
        match self.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn pending(&self) -> bool {
        !self.out.is_empty() || self.tls.session.lock().wants_write()
    }

    fn flush(&mut self) -> io::Result<()> {
        let tls = Arc::clone(&self.tls);
        loop {
            while self.sent < self.out.len() {
                match send_without_blocking(&tls.stream, &[IoSlice::new(&self.out[self.sent..])]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => self.sent += result?,
                }
            }
            self.out.clear();
            self.sent = 0;
            self.collect(&mut tls.session.lock())?;
            if self.out.is_empty() {
                return Ok(());
            }
        }
    }

    fn end(&mut self) {
        self.tls.session.lock().send_close_notify();
    }
}

/// Does the handshake, which is a dialogue of one thread, and splits the connection.
fn accept(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Link> {
    let mut session = ServerConnection::new(config).unwrap();
    session.set_buffer_limit(None);
    while session.is_handshaking() {
        session.complete_io(&mut &stream)?;
    }
    let tls = Arc::new(Tls { stream, session: Mutex::new(session) });
    let read = TlsRead { tls: Arc::clone(&tls), outbox: Weak::new(), raw: vec![0; 16 << 10], fresh: 0..0 };
    let write = TlsWrite { tls: Arc::clone(&tls), out: Vec::new(), sent: 0 };
    Ok(Link { read: Box::new(read), write: Box::new(write), endpoint: tls })
}

/// Echoes text, and lends its peers to the test.
struct Echo {
    peers: Sender<Peer>,
    ended: Sender<Ended>,
}

impl Service for Echo {
    type Session = ();

    fn open(&self, peer: &Peer) -> Result<(), crate::service::ClosedBy> {
        self.peers.send(peer.clone()).unwrap();
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &Peer, message: Message) {
        if let Message::Text(text) = message {
            let _ = peer.send(&*text);
        }
    }

    fn close(&self, (): (), _peer: &Peer, ended: Ended) {
        self.ended.send(ended).unwrap();
    }
}

type Client = WebSocket<StreamOwned<ClientConnection, TcpStream>>;

/// One client and its connection's thread.
struct Bench {
    client: Client,
    peer: Peer,
    ended: Receiver<Ended>,
    serving: JoinHandle<()>,
    core: Arc<Core>,
    threads: Vec<JoinHandle<()>>,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Limits), version: &'static rustls::SupportedProtocolVersion) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = CertificateDer::from(issued.cert.der().to_vec());
        let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();

        let mut limits = Limits { message_bytes: 4 << 20, ..Limits::default() };
        change(&mut limits);
        let (core, threads) = Core::start(limits).unwrap();
        let (peers, peer) = unbounded();
        let (tell_ended, ended) = unbounded();
        let service: Arc<dyn AnyService> = Arc::new(Echo { peers, ended: tell_ended });
        let Settings { hosts, origins, tokens, .. } = Settings::default();
        let routes = vec![Route { path: "/echo".into(), service, http: None }];
        let gate = Gate { hosts, origins, tokens, authenticate: None, routes, health: None };
        let door = Door::new(Arc::clone(&core), gate);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (stream, address) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            let address = ClientAddr::from(address);
            let link = accept(stream, Arc::new(server)).unwrap();
            opening::run(link, address, Seat::take(&door, address), Instant::now());
        });
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let name = "localhost".try_into().unwrap();
        let tls = StreamOwned::new(ClientConnection::new(Arc::new(client), name).unwrap(), stream);
        let (client, _) = tungstenite::client(format!("wss://{address}/echo"), tls).unwrap();
        let peer = peer.recv_timeout(LONG).unwrap();
        Self { client, peer, ended, serving, core, threads }
    }

    fn send(&mut self, text: &str) {
        self.client.send(text.into()).unwrap();
    }

    fn read(&mut self) -> String {
        self.client.read().unwrap().into_text().unwrap().to_string()
    }

    /// Closes from the client's side and waits until all threads have ended.
    fn finish(mut self) {
        self.client.close(None).unwrap();
        loop {
            match self.client.read() {
                Ok(_) => {}
                // The TLS session, too, was ended in order: otherwise this were an error of the stream.
                Err(tungstenite::Error::ConnectionClosed) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(self.ended.recv_timeout(LONG).unwrap(), Ended::ByPeer(None));
        self.stop();
    }

    fn stop(self) {
        self.serving.join().unwrap();
        assert_eq!(self.core.memory.used(), 0);
        // Nothing of the connection is left, though the peer is held.
        assert!(self.peer.connection().outbox.endpoint().is_none());
        self.core.pool.stop();
        self.core.timer.stop();
        self.core.drain.stop();
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Both versions differ in what they send after the handshake.
fn for_both_versions(test: impl Fn(&'static rustls::SupportedProtocolVersion)) {
    test(&rustls::version::TLS13);
    test(&rustls::version::TLS12);
}

#[test]
fn text_goes_both_ways_and_the_closing_handshake_ends_tls_in_order() {
    for_both_versions(|version| {
        let mut bench = Bench::new(|_| {}, version);
        for number in 0..200 {
            bench.send(&format!("text {number}"));
            assert_eq!(bench.read(), format!("text {number}"));
        }
        bench.finish();
    });
}

#[test]
fn large_messages_pass_whole() {
    for_both_versions(|version| {
        let mut bench = Bench::new(|_| {}, version);
        for length in [16 << 10, (1 << 20) + 7, 1, 3 << 20, 100] {
            let text: String = (0..length).map(|at: u32| char::from(b'a' + (at * 7 % 26) as u8)).collect();
            bench.send(&text);
            assert!(bench.read() == text, "{length} bytes");
        }
        bench.finish();
    });
}

#[test]
fn pushes_of_another_thread_pass_while_the_client_sends() {
    for_both_versions(|version| {
        let mut bench = Bench::new(|_| {}, version);
        let peer = bench.peer.clone();
        let filler = "y".repeat(3_000);
        let pushing = std::thread::spawn(move || {
            for number in 0..500 {
                peer.send(format!("push {number} {filler}")).unwrap();
            }
        });
        let (mut echoes, mut pushes) = (0, 0);
        for number in 0..500 {
            if number % 100 == 7 && version.version == rustls::ProtocolVersion::TLSv1_3 {
                // Asks the server's side to renew its keys in the midst of the pushes. Its reader takes note, and rustls sends
                // the answer ahead of the next frame.
                bench.client.get_mut().conn.refresh_traffic_keys().unwrap();
            }
            bench.send(&format!("echo {number}"));
            while echoes <= number {
                let text = bench.read();
                if let Some(rest) = text.strip_prefix("push ") {
                    assert!(rest.starts_with(&format!("{pushes} y")) && rest.len() > 3_000);
                    pushes += 1;
                } else {
                    assert_eq!(text, format!("echo {echoes}"));
                    echoes += 1;
                }
            }
        }
        while pushes < 500 {
            assert!(bench.read().starts_with(&format!("push {pushes} y")));
            pushes += 1;
        }
        pushing.join().unwrap();
        bench.finish();
    });
}

#[test]
fn a_peer_that_stops_reading_is_cut_at_the_write_deadline() {
    let deadline = Duration::from_millis(200);
    let change = |limits: &mut Limits| {
        limits.write_deadline = deadline;
        limits.outbox_bytes = 64 << 20;
    };
    let bench = Bench::new(change, &rustls::version::TLS13);
    let begin = Instant::now();
    bench.peer.send("x".repeat(24 << 20)).unwrap();
    bench.ended.recv_timeout(LONG).unwrap();
    assert!((deadline..deadline * 10).contains(&begin.elapsed()), "cut after {:?}", begin.elapsed());
    bench.stop();
}

#[test]
fn a_broken_record_is_told_by_an_alert_and_ends_the_connection() {
    let mut bench = Bench::new(|_| {}, &rustls::version::TLS13);
    let tls = bench.client.get_mut();
    io::Write::write_all(
        &mut tls.sock,
        &[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20],
    )
    .unwrap();
    // Nothing is pushed: the alert leaves because the reader kicks the outbox.
    let mut told = None;
    while told.is_none() && tls.conn.read_tls(&mut tls.sock).unwrap() > 0 {
        told = tls.conn.process_new_packets().err();
    }
    assert!(matches!(told, Some(rustls::Error::AlertReceived(_))), "{told:?}");
    assert_eq!(bench.ended.recv_timeout(LONG).unwrap(), Ended::Lost);
    bench.stop();
}
