//! Message protocols other than MCP, on the same listener: what a `Service` is promised.

use crate::peer::{PATIENCE, until};
use crate::raw::{Head, Raw};
use mcp_blocking::{
    Bound, ClosedBy, Ended, Error, Listener, Message, MessageLimits, Peers, Principal, Running, Service, Settings,
    TicketError, Token,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message as Sent, WebSocket};

/// Says what happens to it; messages are commands.
struct Told {
    events: Sender<String>,
}

impl Service for Told {
    type Session = usize;

    fn open(&self, peer: &mcp_blocking::Peer) -> Result<usize, ClosedBy> {
        let who = peer.principal().map_or("nobody", |principal| principal.id());
        let _ = self.events.send(format!("open at {} by {who}", peer.address().ip()));
        if peer.everybody().all().len() > 3 {
            return Err(ClosedBy { code: 4000, reason: "three are enough".into() });
        }
        Ok(0)
    }

    fn message(&self, count: &mut usize, peer: &mcp_blocking::Peer, message: Message) {
        *count += 1;
        match message {
            Message::Binary(bytes) => {
                let _ = peer.send_binary(bytes.iter().rev().copied().collect::<Vec<u8>>());
            }
            Message::Text(text) => match &*text {
                "count" => {
                    let _ = peer.send(count.to_string());
                }
                "all" => {
                    peer.everybody().broadcast("to all");
                }
                "leave" => peer.close(4001, "as you wish"),
                "panic" => panic!("asked to"),
                "work" => {
                    let answer = peer.clone();
                    let spawned = peer.spawn(move |task| {
                        assert!(!task.is_cancelled());
                        let _ = answer.send("worked");
                    });
                    assert_eq!(spawned, Ok(()));
                }
                "sleep" => {
                    let events = self.events.clone();
                    let spawned = peer.spawn(move |task| {
                        let _ = events.send("asleep".into());
                        let slept = task.sleep(Duration::from_secs(60));
                        let _ = events.send(format!("slept to the end: {slept}"));
                    });
                    assert_eq!(spawned, Ok(()));
                }
                other => {
                    let _ = peer.send(other);
                }
            },
        }
    }

    fn close(&self, count: usize, _peer: &mcp_blocking::Peer, ended: Ended) {
        let _ = self.events.send(format!("close after {count}: {ended:?}"));
    }

    fn subprotocols(&self) -> &[&str] {
        &["told.v2", "told.v1"]
    }

    fn message_limits(&self, limits: &mut MessageLimits) {
        limits.message_bytes = 100;
        limits.frame_bytes = 100;
    }
}

struct Other;

impl Service for Other {
    type Session = ();

    fn open(&self, _: &mcp_blocking::Peer) -> Result<(), ClosedBy> {
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &mcp_blocking::Peer, _: Message) {
        let _ = peer.send("other");
    }
}

fn serve() -> (Running<Peers>, Receiver<String>) {
    let (events, told) = channel();
    let listener = Listener::new().service("/told", Told { events }).service("/other", Other);
    let running = listener.bind("127.0.0.1:0").and_then(Bound::start).expect("it starts");
    (running, told)
}

#[test]
fn a_session_over_a_pair_of_streams_is_closed_though_it_panics() {
    let (events, told) = channel();
    let (server_in, mut input) = std::io::pipe().expect("a pipe");
    let (mut output, server_out) = std::io::pipe().expect("a pipe");
    let listener = Listener::new().service("/told", Told { events });
    let running = listener.bind("127.0.0.1:0").map(|bound| bound.pipe(server_in, server_out)).and_then(Bound::start);
    let running = running.expect("it starts");
    input.write_all(b"count\npanic\n").expect("written");
    let told: Vec<_> = (0..2).map(|_| told.recv_timeout(PATIENCE).expect("told")).collect();
    assert_eq!(told, ["open at 127.0.0.1 by nobody", "close after 2: ByServer"]);
    let mut answers = String::new();
    output.read_to_string(&mut answers).expect("the end of the streams");
    assert_eq!(answers, "1\n");
    assert!(matches!(running.shutdown(Duration::ZERO), Err(Error::Panicked { .. })));
}

type Client = WebSocket<MaybeTlsStream<TcpStream>>;

fn connect(address: SocketAddr, path: &str) -> Client {
    let (client, _) = tungstenite::connect(format!("ws://{address}{path}")).expect("let in");
    if let MaybeTlsStream::Plain(stream) = client.get_ref() {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    }
    client
}

fn ask(client: &mut Client, text: &str) -> String {
    client.send(Sent::text(text)).expect("sent");
    answer(client)
}

fn answer(client: &mut Client) -> String {
    loop {
        match client.read().expect("an answer") {
            Sent::Text(text) => return text.to_string(),
            Sent::Ping(_) | Sent::Pong(_) => {}
            other => panic!("not a text: {other:?}"),
        }
    }
}

fn closed(client: &mut Client) -> Option<CloseFrame> {
    loop {
        match client.read() {
            Ok(Sent::Close(frame)) => return frame,
            Ok(_) => {}
            Err(error) => panic!("no close frame: {error}"),
        }
    }
}

fn event(told: &Receiver<String>) -> String {
    told.recv_timeout(PATIENCE).expect("an event")
}

#[test]
fn a_service_is_told_of_the_beginning_each_message_and_the_end() {
    let (running, told) = serve();
    let mut client = connect(running.addr(), "/told");
    assert_eq!(event(&told), "open at 127.0.0.1 by nobody");
    assert_eq!(ask(&mut client, "hello"), "hello");
    assert_eq!(ask(&mut client, "count"), "2");
    client.send(Sent::binary(vec![1, 2, 3])).expect("sent");
    assert_eq!(client.read().expect("an answer"), Sent::binary(vec![3, 2, 1]));
    client.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).expect("closing");
    assert_eq!(closed(&mut client).map(|frame| frame.code), Some(CloseCode::Normal));
    assert_eq!(event(&told), "close after 3: ByPeer(Some(1000))");
}

#[test]
fn each_path_has_its_own_service_peers_and_limits() {
    let (running, _told) = serve();
    let mut one = connect(running.addr(), "/told");
    let mut two = connect(running.addr(), "/told");
    let mut other = connect(running.addr(), "/other");
    let peers = running.handle();
    until("all are there", || peers.all().len() == 3);
    assert_eq!((peers.at("/told").all().len(), peers.at("/other").all().len()), (2, 1));
    one.send(Sent::text("all")).expect("sent");
    assert_eq!((answer(&mut one), answer(&mut two)), ("to all".into(), "to all".into()));
    // Nothing of it came here, or it would be the first.
    assert_eq!(ask(&mut other, "x".repeat(1_000).as_str()), "other");
    assert_eq!(peers.broadcast("everybody"), 3);
    assert_eq!((answer(&mut one), answer(&mut other)), ("everybody".into(), "everybody".into()));
    one.send(Sent::text("x".repeat(101))).expect("sent");
    assert_eq!(closed(&mut one).map(|frame| frame.code), Some(CloseCode::Size));
    let id = peers.at("/other").all()[0].id();
    assert!(peers.get(id).is_some() && peers.at("/told").get(id).is_none());
}

#[test]
fn the_first_offered_subprotocol_that_is_known_is_chosen() {
    let (running, _told) = serve();
    let head = || Head::new(running.addr()).line("GET /told HTTP/1.1");
    let chosen = head().add("Sec-WebSocket-Protocol", "x, told.v1, told.v2").ask(running.addr()).expect(101);
    assert_eq!(chosen.field("sec-websocket-protocol"), Some("told.v1"));
    let none = head().add("Sec-WebSocket-Protocol", "x").ask(running.addr()).expect(101);
    assert_eq!(none.field("sec-websocket-protocol"), None);
    Head::new(running.addr()).line("GET /mcp HTTP/1.1").ask(running.addr()).expect(404);
}

#[test]
fn a_service_may_refuse_close_and_panic_without_harm_to_the_others() {
    let (running, told) = serve();
    let mut first = connect(running.addr(), "/told");
    let mut second = connect(running.addr(), "/told");
    let mut third = connect(running.addr(), "/told");
    let mut fourth = connect(running.addr(), "/told");
    let refused = closed(&mut fourth).expect("a frame");
    assert_eq!((u16::from(refused.code), refused.reason.as_str()), (4000, "three are enough"));
    second.send(Sent::text("leave")).expect("sent");
    assert_eq!(closed(&mut second).map(|frame| u16::from(frame.code)), Some(4001));
    third.send(Sent::text("panic")).expect("sent");
    assert_eq!(closed(&mut third).map(|frame| frame.code), Some(CloseCode::Error));
    assert_eq!(ask(&mut first, "count"), "1");
    let events: Vec<_> = std::iter::repeat_with(|| event(&told)).take(6).collect();
    // Four came, one was refused at once and has no session to close.
    assert_eq!(events.iter().filter(|event| event.starts_with("open")).count(), 4, "{events:?}");
    assert_eq!(events.iter().filter(|event| event.starts_with("close after 1: ByServer")).count(), 2, "{events:?}");
    assert!(matches!(running.shutdown(Duration::ZERO), Err(Error::Panicked { .. })));
}

#[test]
fn a_page_comes_by_ticket_and_a_program_by_tokens_that_change() {
    const PAGE: &str = "https://app.example";
    const TOKEN: &str = "a-token-of-good-length";
    let (events, told) = channel();
    let settings = Settings::new().tickets().bearer_token("bob", TOKEN).allow_origin(PAGE);
    let listener = Listener::new().service("/told", Told { events }).settings(settings);
    let running = listener.bind("127.0.0.1:0").and_then(Bound::start).expect("it starts");
    let peers = running.handle();
    let head = || Head::new(running.addr()).line("GET /told HTTP/1.1");
    let bearer = |token: &str| format!("Bearer {token}");
    head().ask(running.addr()).expect(401);
    let ticket = peers.issue_ticket(&Principal::new("ada"), PAGE).expect("a ticket");
    assert_eq!(peers.issue_ticket(&Principal::new("ada"), "app.example"), Err(TicketError::Origin));
    let offered = format!("told.v1, mcp.ticket.{}", ticket.as_str());
    let page = || head().add("Origin", PAGE).add("Sec-WebSocket-Protocol", &offered);
    let answer = page().ask(running.addr()).expect(101);
    assert_eq!(answer.field("Sec-WebSocket-Protocol"), Some("told.v1"));
    assert_eq!(event(&told), "open at 127.0.0.2 by ada");
    page().ask(running.addr()).expect(401);
    let mut bob = Raw::connect(running.addr());
    bob.send(&head().add("Authorization", &bearer(TOKEN)).bytes());
    bob.answer().expect(101);
    assert_eq!(peers.set_tokens([Token::new("eve", "another-token-of-good-length")]).expect("good tokens"), (1, 1));
    assert_eq!(bob.close_code(), Some(1008));
    head().add("Authorization", &bearer(TOKEN)).ask(running.addr()).expect(401);
    head().add("Authorization", &bearer("another-token-of-good-length")).ask(running.addr()).expect(101);
    // Without them there are none.
    let (closed, _told) = serve();
    assert_eq!(closed.handle().issue_ticket(&Principal::new("ada"), PAGE), Err(TicketError::Disabled));
}

#[test]
fn work_on_the_pool_answers_and_is_told_when_its_peer_has_gone() {
    let (running, told) = serve();
    let mut client = connect(running.addr(), "/told");
    assert_eq!(event(&told), "open at 127.0.0.1 by nobody");
    assert_eq!(ask(&mut client, "work"), "worked");
    client.send(Sent::text("sleep")).expect("sent");
    assert_eq!(event(&told), "asleep");
    drop(client);
    let mut events = [event(&told), event(&told)];
    events.sort();
    assert!(events[0].starts_with("close after 2: "), "{events:?}");
    assert_eq!(events[1], "slept to the end: false");
}

#[test]
fn a_stop_tells_work_and_peers() {
    let (running, told) = serve();
    let mut client = connect(running.addr(), "/told");
    client.send(Sent::text("sleep")).expect("sent");
    while event(&told) != "asleep" {}
    let stopping = std::thread::spawn(move || running.shutdown(Duration::from_millis(50)));
    assert_eq!(closed(&mut client).map(|frame| frame.code), Some(CloseCode::Away));
    drop(client);
    stopping.join().expect("no panic").expect("a clean end");
    assert!(told.iter().any(|event| event == "slept to the end: false"));
}

#[test]
fn two_listeners_serve_at_once_and_bad_paths_are_reported_together() {
    let (first, _told) = serve();
    let (second, _told) = serve();
    assert_eq!(ask(&mut connect(first.addr(), "/other"), "?"), "other");
    assert_eq!(ask(&mut connect(second.addr(), "/other"), "?"), "other");
    let bad = Listener::new().service("no-slash", Other).service("/twice", Other).service("/twice", Other);
    let settings = Settings::new().allow_host("not a host");
    match bad.settings(settings).bind("127.0.0.1:0") {
        Err(Error::Setup(problems)) => {
            assert_eq!(problems.len(), 3, "{problems:?}");
            let told = problems.iter().all(|problem| problem.to_string().contains(file!()));
            assert!(told, "each says where it was set: {problems:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_author_may_find_out_who_a_caller_is() {
    use mcp_blocking::{Denied, Principal};
    let settings = Settings::new().bearer_token("static", "a-token-of-sixteen").authenticate(|head| {
        assert_ne!(head.header("x-user"), Some("panic"), "asked to");
        head.header("X-User").map(|user| Principal::new(user.to_owned()).with_user(user.len())).ok_or(Denied)
    });
    let (events, told) = channel();
    let running = Listener::new().service("/told", Told { events }).settings(settings).bind("127.0.0.1:0");
    let running = running.and_then(Bound::start).expect("it starts");
    let head = || Head::new(running.addr()).line("GET /told HTTP/1.1");
    assert!(head().ask(running.addr()).expect(401).field("www-authenticate").is_some());
    head().add("X-User", "panic").ask(running.addr()).expect(500);
    head().add("X-User", "ann").ask(running.addr()).expect(101);
    head().add("Authorization", "Bearer a-token-of-sixteen").ask(running.addr()).expect(101);
    let mut opened: Vec<_> = told.iter().filter(|event| event.starts_with("open")).take(2).collect();
    opened.sort();
    assert_eq!(opened, ["open at 127.0.0.2 by ann", "open at 127.0.0.2 by static"]);
}
