//! One GET for a key set: over TLS, from an address that may be asked, whole and within its time, or not at all.
//!
//! Not a client for HTTP in general, which would bring redirects, proxies, cookies, connections that are kept, and more crates
//! than all of TLS: what is asked here is one document of one host that an author has named.

use crate::guard::authority::{Authority, Host};
use crate::guard::public::is_public;
use crate::http::chunked::{ChunkReader, Chunks};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For all of it, but for a resolver that takes its own time.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// For one of several addresses, so that one that says nothing leaves time for the others.
const CONNECT: Duration = Duration::from_secs(2);
/// A key set of 64 keys of 8,192 bits is smaller.
const MOST_BYTES: usize = 256 << 10;
const MOST_HEAD_BYTES: usize = 16 << 10;

/// Where a key set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    secure: bool,
    authority: Authority,
    target: String,
}

/// A key set as it came.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) body: Vec<u8>,
    /// For how long its server takes it to be good.
    pub(super) max_age: Option<Duration>,
}

impl Endpoint {
    /// Reads a URL. With `private` it may lead to private addresses.
    ///
    /// # Errors
    /// What is wrong with it, for its author.
    pub(super) fn parse(url: &str, private: bool) -> Result<Self, String> {
        let (secure, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err("it has to begin with `https://`".to_owned()),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let authority = Authority::parse(authority).map_err(|error| error.to_string())?;
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err("write its path in plain ASCII, without `#`".to_owned());
        }
        let local = private && authority.is_loopback();
        if !secure && !local {
            return Err("it has to begin with `https://`: whoever can change keys on their way can make tokens; `http://` is for \
                 this machine only, with `dangerous_allow_private_address`"
                .to_owned());
        }
        if let Some(address) = literal(&authority.host).filter(|address| !private && !is_public(*address)) {
            return Err(format!(
                "{address} is a private address: say `dangerous_allow_private_address` if that is meant"
            ));
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { secure, authority, target })
    }

    /// Fetches it. Blocks for 5 s at the most, and for as long as the system's resolver takes.
    ///
    /// # Errors
    /// Why not, for the log.
    pub(super) fn get(&self, tls: &Arc<ClientConfig>, private: bool) -> Result<Fetched, String> {
        let begun = Instant::now();
        let addresses = self.addresses(private)?;
        // What the resolver took is not taken from the rest: a slow name is no slow server.
        let deadline = Instant::now() + DEADLINE;
        let stream = Timed { stream: connect(&addresses, deadline)?, deadline };
        let fetched = if self.secure {
            let name = match &self.authority.host {
                Host::Name(name) => ServerName::try_from(name.clone()).map_err(|error| error.to_string())?,
                Host::V4(address) => ServerName::from(IpAddr::V4(*address)),
                Host::V6(address) => ServerName::from(IpAddr::V6(*address)),
            };
            let session = ClientConnection::new(Arc::clone(tls), name).map_err(|error| error.to_string())?;
            self.exchange(StreamOwned::new(session, stream))
        } else {
            self.exchange(stream)
        };
        log::debug!(target: "mcp_blocking::jwt", "keys of {} asked for, in {:.1?}", self.authority, begun.elapsed());
        fetched
    }

    /// Where it may be asked for: only these addresses are connected to, whatever the name resolves to a moment later.
    fn addresses(&self, private: bool) -> Result<Vec<SocketAddr>, String> {
        let port = self.authority.port.unwrap_or(if self.secure { 443 } else { 80 });
        let found: Vec<_> = match (literal(&self.authority.host), &self.authority.host) {
            (Some(address), _) => vec![SocketAddr::new(address, port)],
            (None, host) => {
                let found = (host.to_string(), port).to_socket_addrs();
                found.map_err(|error| format!("its name cannot be resolved: {error}"))?.collect()
            }
        };
        let allowed: Vec<_> = found.into_iter().filter(|address| private || is_public(address.ip())).take(4).collect();
        if allowed.is_empty() {
            return Err(
                "its name leads to private addresses only, which `dangerous_allow_private_address` would allow"
                    .to_owned(),
            );
        }
        Ok(allowed)
    }

    fn exchange(&self, mut stream: impl Read + Write) -> Result<Fetched, String> {
        let agent = concat!("mcp-blocking/", env!("CARGO_PKG_VERSION"));
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: application/jwk-set+json, application/json\r\nUser-Agent: {agent}\r\n\
             Connection: close\r\n\r\n",
            self.target, self.authority
        );
        let sent = stream.write_all(request.as_bytes()).and_then(|()| stream.flush());
        sent.map_err(|error| format!("it cannot be asked: {error}"))?;
        read_answer(&mut stream)
    }
}

fn literal(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Name(_) => None,
        Host::V4(address) => Some(IpAddr::V4(*address)),
        Host::V6(address) => Some(IpAddr::V6(*address)),
    }
}

fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, String> {
    let mut why = "its addresses do not answer in time".to_owned();
    for address in addresses {
        let time = deadline.saturating_duration_since(Instant::now()).min(CONNECT);
        if time.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(address, time) {
            Ok(stream) => return Ok(stream),
            Err(error) => why = format!("it cannot be connected to: {error}"),
        }
    }
    Err(why)
}

/// A socket whose reads and writes have one deadline together.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// How the end of an answer is found (RFC 9112, 6.3).
enum Body {
    Length(usize),
    Chunked,
    /// With the connection: over TLS that is a notice of its own, so nobody can cut an answer short.
    ToTheEnd,
}

/// Reads an answer: 200 and a body of a bounded size, or it is an error.
pub(super) fn read_answer(stream: &mut impl Read) -> Result<Fetched, String> {
    let mut bytes = Vec::new();
    let (used, body, max_age) = loop {
        if let Some(head) = read_head(&bytes)? {
            break head;
        }
        if bytes.len() >= MOST_HEAD_BYTES {
            return Err("the head of its answer is longer than 16 KiB".to_owned());
        }
        if !more(stream, &mut bytes)? {
            return Err("it ended the connection before its answer was complete".to_owned());
        }
    };
    let mut rest = bytes.split_off(used.min(bytes.len()));
    let too_large = || Err("its answer is larger than 256 KiB".to_owned());
    let body = match body {
        Body::Length(length) if length > MOST_BYTES => return too_large(),
        Body::Length(length) => {
            while rest.len() < length {
                if !more(stream, &mut rest)? {
                    return Err("it ended the connection before its answer was complete".to_owned());
                }
            }
            rest.truncate(length);
            rest
        }
        Body::Chunked => {
            let (mut reader, mut body) = (ChunkReader::new(), Vec::new());
            while reader.push(&rest, &mut body).map_err(|_| "its answer has chunks that are not as they should be")?
                == Chunks::More
            {
                rest.clear();
                if body.len() > MOST_BYTES {
                    return too_large();
                }
                if !more(stream, &mut rest)? {
                    return Err("it ended the connection before its answer was complete".to_owned());
                }
            }
            body
        }
        Body::ToTheEnd => {
            while rest.len() <= MOST_BYTES && more(stream, &mut rest)? {}
            rest
        }
    };
    if body.len() > MOST_BYTES { too_large() } else { Ok(Fetched { body, max_age }) }
}

/// Reads some more. False at the end.
fn more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Result<bool, String> {
    let mut piece = [0; 4 << 10];
    loop {
        match stream.read(&mut piece) {
            Ok(count) => {
                bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
                return Ok(count > 0);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err("it did not answer within 5 s".to_owned());
            }
            Err(error) => return Err(format!("its answer cannot be read: {error}")),
        }
    }
}

/// What the head says, once it is complete: where the body begins, how it ends, how long it is good for.
fn read_head(bytes: &[u8]) -> Result<Option<(usize, Body, Option<Duration>)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let used = match response.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("its answer is not HTTP: {error}")),
    };
    match response.code {
        Some(200) => {}
        Some(status @ 300..400) => {
            return Err(format!("it answers {status}: redirects are not followed, name the address that it leads to"));
        }
        status => return Err(format!("it answers {}, not 200", status.unwrap_or_default())),
    }
    let values = |name: &'static str| {
        let named = response.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| std::str::from_utf8(header.value).unwrap_or_default().trim())
    };
    if let Some(coding) = values("content-encoding").find(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(format!("its answer is encoded as {coding:.60}, which was not asked for"));
    }
    let mut lengths = values("content-length");
    let body = match (values("transfer-encoding").collect::<Vec<_>>().as_slice(), lengths.next(), lengths.next()) {
        ([], None, _) => Body::ToTheEnd,
        ([], Some(length), None) => Body::Length(length.parse().map_err(|_| "the length of its answer is no number")?),
        ([coding], None, _) if coding.eq_ignore_ascii_case("chunked") => Body::Chunked,
        _ => return Err("the length of its answer is not clear".to_owned()),
    };
    Ok(Some((used, body, max_age(values("cache-control")))))
}

/// What `Cache-Control` says (RFC 9111, 5.2.2).
fn max_age<'h>(values: impl Iterator<Item = &'h str>) -> Option<Duration> {
    let mut age = None;
    for directive in values.flat_map(|value| value.split(',')).map(|directive| directive.trim().to_ascii_lowercase()) {
        if matches!(directive.as_str(), "no-store" | "no-cache") {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse().ok().map(Duration::from_secs).or(age);
        }
    }
    age
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_may_be_asked_are_taken() {
        for good in ["https://a.example", "https://a.example/keys?x=1", "https://a.example:8443/k", "https://8.8.8.8/"]
        {
            assert!(Endpoint::parse(good, false).is_ok(), "{good}");
        }
        let question = Endpoint::parse("https://a.example?x", false).unwrap();
        assert_eq!((question.authority.to_string().as_str(), question.target.as_str()), ("a.example", "/?x"));
        for bad in [
            "",
            "a.example",
            "ftp://a.example",
            "HTTPS//a",
            "http://a.example/",
            "http://127.0.0.1/",
            "https://",
            "https:///keys",
            "https://u@a.example/",
            "https://a.example/#x",
            "https://a.example/a b",
            "https://a.example/\r\nX:",
            "https://10.0.0.1/",
            "https://127.1/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://\u{e4}.example/",
        ] {
            assert!(Endpoint::parse(bad, false).is_err(), "{bad}");
        }
        assert!(Endpoint::parse("http://127.0.0.1:8080/keys", true).is_ok());
        assert!(Endpoint::parse("http://10.0.0.1/keys", true).is_err());
        assert!(Endpoint::parse("https://10.0.0.1/keys", true).is_ok());
    }

    #[test]
    fn a_name_that_leads_to_this_machine_is_not_asked() {
        let endpoint = Endpoint::parse("https://localhost/keys", false).unwrap();
        assert!(endpoint.addresses(false).unwrap_err().contains("private"));
        assert!(!endpoint.addresses(true).unwrap().is_empty());
    }

    fn read(answer: &str) -> Result<(String, Option<u64>), String> {
        let fetched = read_answer(&mut answer.as_bytes())?;
        Ok((String::from_utf8(fetched.body).unwrap(), fetched.max_age.map(|age| age.as_secs())))
    }

    #[test]
    fn answers_are_read_to_their_end() {
        let ok = |text: &str, age| Ok((text.to_owned(), age));
        assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}x"), ok("{}", None));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: public, max-age=60\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n";
        assert_eq!(read(chunked), ok("{}", Some(60)));
        assert_eq!(read("HTTP/1.0 200 OK\r\nCache-Control: max-age=5, no-store\r\n\r\n{}"), ok("{}", Some(0)));
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}").unwrap_err(),
            "it ended the connection before its answer was complete"
        );
        let large = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(MOST_BYTES + 1));
        assert!(read(&large).unwrap_err().contains("larger"));
        let chunks = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            "1000\r\n".to_owned() + &"x".repeat(0x1000) + "\r\n"
        );
        assert!(read(&chunks).is_err());
        for wrong in [
            "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "SSH-2.0\r\n",
            "",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
