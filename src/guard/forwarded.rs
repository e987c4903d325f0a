//! Whose request does a proxy hand on?
//!
//! `Forwarded` (RFC 7239) and `X-Forwarded-For` are lists: each proxy adds at the right what it has seen. What a client writes there itself
//! stands to the left of it. So the list is read from the right, for as long as what is read was written by a proxy that the author trusts; the
//! first address that is none of theirs is the client. From peers that are no such proxy neither header is looked at.

use super::address::ClientAddr;
use super::config::ConfigError;
use crate::http::head::Head;
use crate::http::refusal::Refusal;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// So many hops are looked at; what is further away no proxy of the author's can vouch for.
const HOPS: usize = 16;
const FORWARDED: &str = "forwarded";
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies whose word counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies {
    networks: Vec<Network>,
}

impl TrustedProxies {
    /// Adds an address (`10.0.0.7`, `::1`) or a network (`10.0.0.0/8`, `fd00::/8`).
    ///
    /// # Errors
    ///
    /// The text is neither, names a host within its network, or is everybody.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), ConfigError> {
        let network = Network::parse(text)
            .map_err(|problem| ConfigError::new("trusted_proxies", format!("`{}` {problem}", text.escape_debug())))?;
        self.networks.push(network);
        Ok(())
    }

    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Networks that are larger than any that is somebody's own (`10.0.0.0/8`, `fd00::/8`).
    pub(crate) fn wide(&self) -> impl Iterator<Item = String> {
        self.networks.iter().filter(|network| network.length() < 8).map(ToString::to_string)
    }

    /// Whether anybody on this machine is one of them.
    #[must_use]
    pub(crate) fn trusts_loopback(&self) -> bool {
        self.trusts(ClientAddr::new(([127, 0, 0, 1], 0).into()))
            || self.trusts(ClientAddr::new((Ipv6Addr::LOCALHOST, 0).into()))
    }

    /// Whether what a peer of that address says of others counts.
    #[must_use]
    pub(crate) fn trusts(&self, address: ClientAddr) -> bool {
        self.networks.iter().any(|network| network.holds(address.ip()))
    }

    /// Whose request this is, and whether a proxy has said so. `peer` is who has connected.
    ///
    /// What cannot be read, `unknown` and a made-up name are the end of what is known: the client is then who was nearest to that and could be
    /// trusted, at the worst the peer.
    ///
    /// # Errors
    ///
    /// 400 if both headers are there and say something else: the proxy sets one of them, and its client has sent the other.
    pub(crate) fn client(&self, peer: ClientAddr, head: &Head) -> Result<Origin, Refusal> {
        if !self.trusts(peer) {
            return Ok(Origin { address: peer, by_proxy: false });
        }
        let found = |name: &str, hop: fn(&[u8]) -> Option<SocketAddr>| {
            head.header(name).is_some().then(|| self.rightmost(peer, head, name, hop))
        };
        let address = match (found(FORWARDED, element), found(X_FORWARDED_FOR, node)) {
            (Some(one), Some(other)) if one.ip() != other.ip() => {
                return Err(Refusal::new(
                    400,
                    "forwarded",
                    "Forwarded and X-Forwarded-For name different clients: have the proxy set one and remove the other",
                ));
            }
            (Some(address), _) | (None, Some(address)) => address,
            (None, None) => peer,
        };
        Ok(Origin { address, by_proxy: true })
    }

    /// The first from the right that is no proxy of ours.
    fn rightmost(&self, peer: ClientAddr, head: &Head, name: &str, hop: fn(&[u8]) -> Option<SocketAddr>) -> ClientAddr {
        let lines: Vec<_> = head.values(name).collect();
        let mut nearest = peer;
        for text in lines.into_iter().rev().flat_map(FromRight).take(HOPS) {
            let Some(address) = hop(text) else { return nearest };
            nearest = ClientAddr::new(address);
            if !self.trusts(nearest) {
                return nearest;
            }
        }
        nearest
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) address: ClientAddr,
    /// The connection is a trusted proxy's.
    pub(crate) by_proxy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    bits: u128,
    mask: u128,
    v4: bool,
}

impl Network {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| "is no address and no network: write `10.0.0.0/8` or `::1`")?;
        let (bits, width) = bits(address);
        let length = match length {
            None => width,
            Some(length) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().ok().filter(|length| *length <= width).ok_or("has a prefix that is too long")?
            }
            Some(_) => return Err("has a prefix that is no number"),
        };
        if length == 0 {
            return Err("would trust everybody: name the addresses of your proxies");
        }
        let mask = u128::MAX << (width - length);
        if bits & !mask != 0 {
            return Err("names a host within its network: write the network, with zeros behind its prefix");
        }
        Ok(Self { bits, mask, v4: address.is_ipv4() })
    }

    fn length(&self) -> u32 {
        let width = if self.v4 { 32 } else { 128 };
        // Masks begin behind the leading zeros of an IPv4 one.
        (self.mask << (128 - width)).leading_ones()
    }

    fn holds(&self, address: IpAddr) -> bool {
        let (own, _) = bits(address);
        address.is_ipv4() == self.v4 && own & self.mask == self.bits
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.bits).ok().filter(|_| self.v4) {
            Some(bits) => write!(f, "{}/{}", Ipv4Addr::from_bits(bits), self.length()),
            None => write!(f, "{}/{}", Ipv6Addr::from_bits(self.bits), self.length()),
        }
    }
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// The elements of a list from its right end, split at commas outside of quotes. From there, since an open quote that a client has sent
/// must not swallow what the proxy has added behind it.
struct FromRight<'a>(&'a [u8]);

impl<'a> Iterator for FromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.0.is_empty() {
            let mut quoted = false;
            let comma = (0..self.0.len()).rev().find(|&at| {
                quoted ^= self.0.get(at) == Some(&b'"') && !is_escaped(self.0, at);
                !quoted && self.0.get(at) == Some(&b',')
            });
            let (rest, own) = match comma {
                Some(at) => self.0.split_at(at),
                None => self.0.split_at(0),
            };
            self.0 = rest;
            let own = own.strip_prefix(b",").unwrap_or(own).trim_ascii();
            // Empty elements count as none (RFC 9110, 5.6.1.2).
            if !own.is_empty() {
                return Some(own);
            }
        }
        None
    }
}

/// Whether an odd number of backslashes stands before that place.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The `for` of an element of `Forwarded`. None if it has none, several, or one that is no address.
fn element(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let mut found = None;
    let mut rest = text;
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=')?;
        let (value, behind) = match behind.strip_prefix('"') {
            None => {
                let end = behind.find(';').unwrap_or(behind.len());
                (behind.get(..end)?, behind.get(end..)?)
            }
            Some(quoted) => {
                // An address has nothing that would be escaped.
                let end =
                    quoted.find('"').filter(|end| !quoted.as_bytes().iter().take(*end).any(|byte| *byte == b'\\'));
                (quoted.get(..end?)?, quoted.get(end? + 1..)?)
            }
        };
        if name.trim().eq_ignore_ascii_case("for") && found.replace(node(value.trim().as_bytes())?).is_some() {
            return None;
        }
        let behind = behind.trim_start();
        rest = match behind.strip_prefix(';') {
            Some(rest) => rest,
            None if behind.is_empty() => behind,
            None => return None,
        };
    }
    found
}

/// An address, with or without a port: `192.0.2.7`, `192.0.2.7:80`, `2001:db8::7`, `[2001:db8::7]`, `[2001:db8::7]:80`. Of a port of a made-up name
/// (`_x`, RFC 7239, 6.3) only the address counts.
fn node(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let whole = |ip: IpAddr| SocketAddr::new(ip, 0);
    let address = text.parse().map(whole).ok().or_else(|| {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, behind) = rest.split_once(']')?;
                let host: std::net::Ipv6Addr = host.parse().ok()?;
                (IpAddr::V6(host), if behind.is_empty() { "0" } else { behind.strip_prefix(':')? })
            }
            None => {
                let (host, port) = text.split_once(':')?;
                (IpAddr::V4(host.parse().ok()?), port)
            }
        };
        let hidden = port.len() > 1 && port.starts_with('_');
        Some(SocketAddr::new(host, if hidden { 0 } else { port.parse().ok()? }))
    })?;
    (!address.ip().to_canonical().is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::tests::head;

    fn proxies() -> TrustedProxies {
        let mut proxies = TrustedProxies::default();
        for text in ["10.0.0.0/8", "::1", "fd00::/8"] {
            proxies.add(text).unwrap();
        }
        proxies
    }

    fn from(ip: &str) -> ClientAddr {
        ClientAddr::new(SocketAddr::new(ip.parse().unwrap(), 5000))
    }

    fn client(peer: &str, headers: &[&str]) -> Result<String, u16> {
        let lines: Vec<_> = std::iter::once("GET / HTTP/1.1").chain(headers.iter().copied()).collect();
        let found = proxies().client(from(peer), &head(&lines));
        found.map(|origin| origin.address.ip().to_string()).map_err(|refusal| refusal.status)
    }

    fn x(value: &str) -> String {
        client("10.0.0.1", &[&format!("X-Forwarded-For: {value}")]).unwrap()
    }

    fn f(value: &str) -> String {
        client("10.0.0.1", &[&format!("Forwarded: {value}")]).unwrap()
    }

    #[test]
    fn only_trusted_peers_are_believed() {
        let headers = ["X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.8"];
        assert_eq!(client("203.0.113.1", &headers).unwrap(), "203.0.113.1");
        assert_eq!(client("203.0.113.1", &headers[..1]).unwrap(), "203.0.113.1");
        assert_eq!(client("::ffff:10.1.2.3", &headers[..1]).unwrap(), "192.0.2.7");
        assert_eq!(client("10.0.0.1", &[]).unwrap(), "10.0.0.1");
    }

    #[test]
    fn the_rightmost_hop_that_is_no_proxy_is_the_client() {
        assert_eq!(x("192.0.2.7"), "192.0.2.7");
        assert_eq!(x("6.6.6.6, 192.0.2.7"), "192.0.2.7");
        assert_eq!(x("6.6.6.6, 192.0.2.7 ,10.3.4.5, fd00::9"), "192.0.2.7");
        assert_eq!(x("10.3.4.5, fd00::9"), "10.3.4.5");
        assert_eq!(x("192.0.2.7:4711"), "192.0.2.7");
        assert_eq!(x("2001:db8::7"), "2001:db8::7");
        assert_eq!(x("[2001:db8::7]:80"), "2001:db8::7");
        assert_eq!(x("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(x(",, 192.0.2.7, ,"), "192.0.2.7");
        let lines = ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.7, 10.0.0.2"];
        assert_eq!(client("10.0.0.1", &lines).unwrap(), "192.0.2.7");
    }

    #[test]
    fn forwarded_is_read_with_quotes_ports_and_other_parameters() {
        assert_eq!(f("for=192.0.2.7"), "192.0.2.7");
        assert_eq!(f("For=\"192.0.2.7:80\"; Proto=https;by=_me"), "192.0.2.7");
        assert_eq!(f("proto=https;for=\"[2001:db8:cafe::17]:4711\""), "2001:db8:cafe::17");
        assert_eq!(f("for=6.6.6.6;host=\"a,b\", for=192.0.2.7;host=\"a, for=6.6.6.6\""), "192.0.2.7");
        assert_eq!(f("for=\"[2001:db8::7]:_hidden\""), "2001:db8::7");
        assert_eq!(f("for=192.0.2.7, for=10.0.0.9"), "192.0.2.7");
    }

    #[test]
    fn what_a_client_has_sent_cannot_hide_what_the_proxy_adds() {
        for sent in ["\"", "for=\"6.6.6.6", "for=\"\\", "for=\"6.6.6.6\\\"", "\\\"", ";;=", "for=", "\"\"\""] {
            assert_eq!(f(&format!("{sent}, for=192.0.2.7")), "192.0.2.7", "{sent}");
            assert_eq!(f(&format!("{sent}, for=\"192.0.2.7:80\";proto=https")), "192.0.2.7", "{sent}");
            assert_eq!(x(&format!("{sent}, 192.0.2.7")), "192.0.2.7", "{sent}");
        }
    }

    #[test]
    fn behind_what_cannot_be_read_nobody_is_known() {
        for hop in [
            "unknown",
            "_hidden",
            "garbage",
            "192.0.2.256",
            "192.0.2.7:x",
            "0.0.0.0",
            "[2001:db8::7",
            "\"192.0.2.7",
            "é",
        ] {
            assert_eq!(x(hop), "10.0.0.1", "{hop}");
            assert_eq!(x(&format!("192.0.2.7, {hop}")), "10.0.0.1", "{hop}");
            assert_eq!(x(&format!("{hop}, 10.7.7.7")), "10.7.7.7", "{hop}");
            assert_eq!(f(&format!("for={hop}")), "10.0.0.1", "{hop}");
        }
        for hop in ["proto=https", "for=192.0.2.7;for=192.0.2.8", "for", "for=\"192.0.2.7\"x", "for=\"192.0.2.\\7\""] {
            assert_eq!(f(hop), "10.0.0.1", "{hop}");
        }
    }

    #[test]
    fn both_headers_have_to_agree() {
        let both = |one: &str, other: &str| {
            client("10.0.0.1", &[&format!("Forwarded: for={one}"), &format!("X-Forwarded-For: {other}")])
        };
        assert_eq!(both("\"192.0.2.7:80\"", "6.6.6.6, 192.0.2.7").unwrap(), "192.0.2.7");
        assert_eq!(both("6.6.6.6", "192.0.2.7"), Err(400));
        assert_eq!(both("unknown", "192.0.2.7"), Err(400));
    }

    #[test]
    fn so_many_hops_are_looked_at() {
        let all = format!("192.0.2.7{}", ", 10.0.0.2".repeat(100));
        assert_eq!(x(&all), "10.0.0.2");
        assert_eq!(x(&format!("192.0.2.7{}", ", 10.0.0.2".repeat(HOPS - 1))), "192.0.2.7");
    }

    #[test]
    fn networks_are_checked() {
        for bad in [
            "",
            "x",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "::/129",
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/",
            "example.com",
        ] {
            let error = TrustedProxies::default().add(bad).unwrap_err();
            assert_eq!(error.setting, "trusted_proxies", "{bad}");
        }
        let mut proxies = TrustedProxies::default();
        for good in ["192.0.2.128/25", "2001:db8::/32", "127.0.0.1"] {
            proxies.add(good).unwrap();
        }
        for (ip, trusted) in [
            ("192.0.2.129", true),
            ("192.0.2.1", false),
            ("2001:db8:9::1", true),
            ("2001:db9::1", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("::1", false),
        ] {
            assert_eq!(proxies.trusts(from(ip)), trusted, "{ip}");
        }
    }
}
