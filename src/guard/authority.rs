//! Which host and port does this text name?
//!
//! One strict parser for `Host` headers, for the authority in `Origin`, and for the author's
//! own settings, so that no two places disagree about what a text means. It takes less than
//! RFC 3986, 3.2 allows: every spelling that two readers could resolve differently is an
//! error, never a guess.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// DNS: a name has at most 253 characters, a label at most 63 (RFC 1035, 2.3.4).
const NAME_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// A host, in the one spelling that is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// A registered name in lower-case ASCII; punycode labels (`xn--…`) are left as they are.
    Name(String),
    /// An IPv4 address, written as four decimal numbers.
    V4(Ipv4Addr),
    /// An IPv6 address, written in brackets.
    V6(Ipv6Addr),
}

impl Host {
    /// Whether this can only mean the machine itself.
    ///
    /// True for `localhost`, 127.0.0.0/8, `[::1]` and `[::ffff:127.x.y.z]`. Not for
    /// `something.localhost`, which some resolvers send to the network, nor for `0.0.0.0`, which
    /// reaches local servers from web pages on some systems ("0.0.0.0 day").
    #[must_use]
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::V4(address) => address.is_loopback(),
            Self::V6(address) => IpAddr::V6(*address).to_canonical().is_loopback(),
        }
    }

    /// Whether this is a name that ends in `.suffix`, with at least one label before it.
    #[must_use]
    pub(crate) fn is_below(&self, suffix: &str) -> bool {
        let Self::Name(name) = self else { return false };
        name.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('.')).is_some_and(|rest| !rest.is_empty())
    }

    fn parse(text: &str) -> Result<Self, AuthorityError> {
        if text.is_empty() {
            return Err(AuthorityError::Empty);
        }
        if text.contains(':') {
            return Err(AuthorityError::Brackets);
        }
        if text.ends_with('.') {
            return Err(AuthorityError::TrailingDot);
        }
        if text.len() > NAME_BYTES {
            return Err(AuthorityError::TooLong);
        }
        if !text.split('.').all(is_label) {
            return Err(AuthorityError::Label);
        }
        // WHATWG URL, "ends in a number": browsers read such a host as an IPv4 address in any of
        // its historical spellings. So only the plain spelling passes, and none is a name.
        let last = text.rsplit('.').next().unwrap_or(text);
        let hexadecimal = last
            .strip_prefix("0x")
            .or_else(|| last.strip_prefix("0X"))
            .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        if hexadecimal || last.bytes().all(|digit| digit.is_ascii_digit()) {
            return text.parse().map(Self::V4).map_err(|_| AuthorityError::Number);
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => write!(f, "{address}"),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// A host and, if one was written, a port.
///
/// `Display` writes the normal form, which parses to an equal value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Authority {
    /// The host.
    pub host: Host,
    /// The port as written: `None` is not the same as the default port of some scheme.
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `name`, `name:port`, `1.2.3.4:port`, `[::1]:port`.
    ///
    /// # Errors
    ///
    /// The text is anything else; the error says what is odd about it.
    pub(crate) fn parse(text: &str) -> Result<Self, AuthorityError> {
        if !text.is_ascii() {
            return Err(AuthorityError::NotAscii);
        }
        if text.contains('@') {
            return Err(AuthorityError::UserInfo);
        }
        if let Some(inner) = text.strip_prefix('[') {
            let (address, rest) = inner.split_once(']').ok_or(AuthorityError::Brackets)?;
            if address.contains('%') {
                return Err(AuthorityError::Zone);
            }
            let host = address.parse().map(Host::V6).map_err(|_| AuthorityError::V6)?;
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(parse_port(port)?),
                None if rest.is_empty() => None,
                None => return Err(AuthorityError::Brackets),
            };
            return Ok(Self { host, port });
        }
        match text.rsplit_once(':') {
            Some((host, port)) => Ok(Self { host: Host::parse(host)?, port: Some(parse_port(port)?) }),
            None => Ok(Self { host: Host::parse(text)?, port: None }),
        }
    }

    /// Whether the host can only mean the machine itself; see [`Host::is_loopback`].
    #[must_use]
    pub(crate) fn is_loopback(&self) -> bool {
        self.host.is_loopback()
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// What is odd about a text that should name a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum AuthorityError {
    /// There is no host.
    Empty,
    /// A letter outside ASCII; international names are written in punycode (`xn--…`).
    NotAscii,
    /// An `@`: user names have no place here, and `localhost@evil.example` is a trap.
    UserInfo,
    /// A label is empty, longer than 63, begins or ends with a hyphen, or has a character
    /// other than letters, digits, hyphen and underscore.
    Label,
    /// The name has more than 253 characters.
    TooLong,
    /// The name ends in a dot. `localhost.` goes to the network on some systems and not on
    /// others, and browsers take `a.` and `a` for two hosts.
    TrailingDot,
    /// An IPv4 address that is not four plain decimal numbers (`127.1`, `0x7f.1`, `2130706433`).
    Number,
    /// Brackets that do not match, or an IPv6 address without brackets.
    Brackets,
    /// Not an IPv6 address between the brackets.
    V6,
    /// An IPv6 zone (`%eth0`); it means something else on each machine.
    Zone,
    /// The port is not a plain number from 1 to 65535.
    Port,
}

impl AuthorityError {
    /// What to write instead, as fixed text.
    #[must_use]
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            Self::Empty => "name a host",
            Self::NotAscii => "write the name in ASCII; international names as punycode (xn--…)",
            Self::UserInfo => "leave out the user name and `@`",
            Self::Label => "use only letters, digits, `-`, `_` and single dots in a host name",
            Self::TooLong => "host names have at most 253 characters",
            Self::TrailingDot => "leave out the dot at the end",
            Self::Number => "write an IPv4 address as four plain decimal numbers",
            Self::Brackets => "write an IPv6 address in brackets, as `[::1]`",
            Self::V6 => "there must be an IPv6 address between the brackets",
            Self::Zone => "leave out the IPv6 zone",
            Self::Port => "the port must be a plain number from 1 to 65535",
        }
    }
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.advice())
    }
}

impl std::error::Error for AuthorityError {}

fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn parse_port(text: &str) -> Result<u16, AuthorityError> {
    // `u16::from_str` would take `+80` and `0080`.
    let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().map_err(|_| AuthorityError::Port) } else { Err(AuthorityError::Port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_spellings_are_read_and_written_back() {
        for (text, normal) in [
            ("localhost", "localhost"),
            ("LocalHost:8080", "localhost:8080"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]", "[::1]"),
            ("[0:0:0:0:0:0:0:1]:65535", "[::1]:65535"),
            ("my_host-1.lan", "my_host-1.lan"),
            ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
            ("1a.example", "1a.example"),
            ("[2001:DB8::A]", "[2001:db8::a]"),
            ("127.0.0.1.evil.com", "127.0.0.1.evil.com"),
            ("0xyz", "0xyz"),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!(authority.to_string(), normal);
            assert_eq!(Authority::parse(normal).unwrap(), authority);
        }
    }

    #[test]
    fn only_the_machine_itself_is_loopback() {
        for text in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1",
            "127.255.1.2:8080",
            "[::1]:9",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f01:203]",
        ] {
            assert!(Authority::parse(text).unwrap().is_loopback(), "{text}");
        }
        for text in [
            "localhost.evil.com",
            "evil.localhost",
            "foo.localhost",
            "127.0.0.1.evil.com",
            "127.0.0.1.nip.io",
            "localhost.localdomain",
            "0.0.0.0",
            "[::]",
            "128.0.0.1",
            "126.255.255.255",
            "[::ffff:10.0.0.1]",
            "[::127.0.0.1]",
            "[::2]",
            "[fe80::1]",
            "[::ffff:0:127.0.0.1]",
            "169.254.1.1",
            "192.168.0.1",
            "localhost1",
            "xlocalhost",
            "local-host",
            "localhost_",
            "xn--localhost-abc",
            "ip6-localhost",
            "[64:ff9b::7f00:1]",
        ] {
            assert!(!Authority::parse(text).unwrap().is_loopback(), "{text}");
        }
    }

    #[test]
    fn odd_spellings_of_addresses_are_errors() {
        for text in [
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "127.0.0.01",
            "0x7f.1",
            "127.0.0.0x1",
            "0",
            "127.0.0.1.",
            "256.0.0.1",
            "1.2.3.4.5",
            "127.0.0",
            "00000127.0.0.1",
            "evil.1",
            "localhost.0",
            "0x",
            "a.0x",
        ] {
            assert!(Authority::parse(text).is_err(), "{text}");
        }
        assert_eq!(Authority::parse("127.1"), Err(AuthorityError::Number));
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        use AuthorityError as E;
        for (text, error) in [
            ("", E::Empty),
            (":80", E::Empty),
            ("localhost@evil.com", E::UserInfo),
            ("user:pw@localhost", E::UserInfo),
            ("evil.com@", E::UserInfo),
            ("local\u{212a}host", E::NotAscii),
            ("localho\u{17f}t", E::NotAscii),
            ("\u{ff4c}ocalhost", E::NotAscii),
            ("127\u{3002}0.0.1", E::NotAscii),
            ("localhost.", E::TrailingDot),
            (".", E::TrailingDot),
            (".localhost", E::Label),
            ("a..b", E::Label),
            ("-a", E::Label),
            ("a-.b", E::Label),
            (" localhost", E::Label),
            ("localhost ", E::Label),
            ("local host", E::Label),
            ("localhost\t", E::Label),
            ("localhost/evil", E::Label),
            ("localhost?x", E::Label),
            ("localhost#x", E::Label),
            ("localhost\\evil.com", E::Label),
            ("localhost%00", E::Label),
            ("localhos%74", E::Label),
            ("localhost,evil.com", E::Label),
            ("*.evil.com", E::Label),
            ("localhost\0", E::Label),
            ("a\u{b}", E::Label),
            ("::1", E::Brackets),
            ("::1:80", E::Brackets),
            ("a:1:2", E::Brackets),
            ("[::1", E::Brackets),
            ("[::1]x", E::Brackets),
            ("[::1]80", E::Brackets),
            ("[]", E::V6),
            ("[127.0.0.1]", E::V6),
            ("[localhost]", E::V6),
            ("[::1 ]", E::V6),
            ("[[::1]]", E::V6),
            ("[fe80::1%25eth0]", E::Zone),
            ("[::1%lo]", E::Zone),
            ("a:", E::Port),
            ("a:0", E::Port),
            ("a:080", E::Port),
            ("a:+80", E::Port),
            ("a:-1", E::Port),
            ("a:65536", E::Port),
            ("a:99999999999", E::Port),
            ("a:80 ", E::Port),
            ("a:8o", E::Port),
            ("[::1]:", E::Port),
            ("http://localhost", E::Port),
        ] {
            assert_eq!(Authority::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Authority::parse(&"a".repeat(64)), Err(E::Label));
        assert!(Authority::parse(&"a".repeat(63)).is_ok());
        assert_eq!(Authority::parse(&format!("{}a", "a.".repeat(127))), Err(E::TooLong));
        assert!(Authority::parse(&format!("{}a", "a.".repeat(126))).is_ok());
    }

    #[test]
    fn below_means_at_a_label_border() {
        let below = |name: &str| Authority::parse(name).unwrap().host.is_below("example.com");
        assert!(below("a.example.com") && below("a.b.Example.com"));
        assert!(
            !below("example.com") && !below("evilexample.com") && !below("example.com.evil.org") && !below("127.0.0.1")
        );
    }
}
