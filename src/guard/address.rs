//! May one more connection come from this address?
//!
//! Each connection costs a thread, so the number of them is decided before one is started.
//! Connections that have not finished their handshake have a cap of their own: a crowd of
//! silent ones must not take the seats of those who talk.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Whose connection or request this is: the peer's address, or the one that a
/// [trusted proxy](crate::Settings::trusted_proxies) named, then perhaps with a port of 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddr(SocketAddr);

impl ClientAddr {
    /// Wraps the peer's address. An IPv4 address in IPv6 clothes (`::ffff:1.2.3.4`, from a
    /// listener for both) becomes plain IPv4, so that one peer has one address.
    #[must_use]
    pub fn new(peer: SocketAddr) -> Self {
        Self(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
    }

    /// The address without the port.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.0.ip()
    }

    /// Whether it is one of this machine.
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        self.ip().is_loopback()
    }

    /// What is counted together: an IPv4 address, or an IPv6 /64. One subscriber has at least
    /// a /64 (RFC 6177), so counting single IPv6 addresses would count nothing.
    pub(crate) fn group(&self) -> IpAddr {
        match self.ip() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        }
    }
}

impl From<SocketAddr> for ClientAddr {
    fn from(peer: SocketAddr) -> Self {
        Self::new(peer)
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy may name an address alone.
        if self.0.port() == 0 { self.0.ip().fmt(f) } else { self.0.fmt(f) }
    }
}

/// How many connections are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressLimits {
    /// Connections in all, half-open ones included: each has a thread.
    pub total: usize,
    /// Connections whose handshake is not finished. An honest one is over in milliseconds.
    pub half_open: usize,
    /// Connections per IPv4 address or IPv6 /64.
    pub per_address: usize,
    /// Whether that holds for addresses of loopback, too, which all local clients share.
    pub loopback: bool,
}

/// Counts connections. A plain struct: the caller locks it.
///
/// Its memory is bounded by `total`, since an address is forgotten with its last connection.
#[derive(Debug)]
pub(crate) struct AddressCounter {
    limits: AddressLimits,
    open: usize,
    half_open: usize,
    per_address: HashMap<IpAddr, usize>,
}

/// The place of one connection. It cannot be copied, so no connection gives its place back
/// twice or under another address; hand it to [`AddressCounter::release`] in the end.
#[derive(Debug)]
#[must_use = "the place stays taken until it is handed to AddressCounter::release"]
pub(crate) struct Seat {
    group: Option<IpAddr>,
    half_open: bool,
}

impl AddressCounter {
    /// Nobody is connected.
    #[must_use]
    pub(crate) fn new(limits: AddressLimits) -> Self {
        Self { limits, open: 0, half_open: 0, per_address: HashMap::new() }
    }

    /// Takes a place for a connection whose handshake is still to come. Without an address it is a proxy's, and
    /// [`count`](Self::count) says later whose.
    ///
    /// # Errors
    ///
    /// A cap is reached; nothing was counted.
    pub(crate) fn try_admit(&mut self, address: impl Into<Option<ClientAddr>>) -> Result<Seat, Refused> {
        self.admit(address.into(), self.limits.half_open)
    }

    /// The same where a handshake has just been cut to make room: its place is not given back yet.
    pub(crate) fn try_admit_instead(&mut self, address: impl Into<Option<ClientAddr>>) -> Result<Seat, Refused> {
        self.admit(address.into(), self.limits.half_open.saturating_add(self.limits.half_open / 8).saturating_add(16))
    }

    fn admit(&mut self, address: Option<ClientAddr>, half_open: usize) -> Result<Seat, Refused> {
        if self.open >= self.limits.total {
            return Err(Refused::Total { limit: self.limits.total });
        }
        if self.half_open >= half_open {
            return Err(Refused::HalfOpen { limit: self.limits.half_open });
        }
        let group = self.count(address)?;
        self.open = self.open.saturating_add(1);
        self.half_open = self.half_open.saturating_add(1);
        Ok(Seat { group, half_open: true })
    }

    /// Counts for an address what a proxy's connection does for a client of its; to be given back to [`leave`](Self::leave).
    ///
    /// # Errors
    ///
    /// That client has too many already; nothing was counted.
    pub(crate) fn count(&mut self, address: Option<ClientAddr>) -> Result<Option<IpAddr>, Refused> {
        let limited = |address: &ClientAddr| self.limits.loopback || !address.is_loopback();
        let Some(group) = address.filter(limited).map(|address| address.group()) else { return Ok(None) };
        let known = self.per_address.get(&group).copied().unwrap_or(0);
        if known >= self.limits.per_address {
            return Err(Refused::PerAddress { limit: self.limits.per_address });
        }
        self.per_address.insert(group, known.saturating_add(1));
        Ok(Some(group))
    }

    /// What was counted is over.
    pub(crate) fn leave(&mut self, group: Option<IpAddr>) {
        let Some(group) = group else { return };
        if let Some(count) = self.per_address.get_mut(&group) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_address.remove(&group);
            }
        }
    }

    /// The handshake of this connection is finished. Calling it again changes nothing.
    pub(crate) fn established(&mut self, seat: &mut Seat) {
        if std::mem::take(&mut seat.half_open) {
            self.half_open = self.half_open.saturating_sub(1);
        }
    }

    /// Gives the place back, whether the handshake was finished or not.
    pub(crate) fn release(&mut self, mut seat: Seat) {
        self.established(&mut seat);
        self.open = self.open.saturating_sub(1);
        self.leave(seat.group.take());
    }
}

/// Which cap was reached. `Display` names the setting that raises it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many connections in all.
    Total {
        /// The cap.
        limit: usize,
    },
    /// Too many unfinished handshakes.
    HalfOpen {
        /// The cap.
        limit: usize,
    },
    /// Too many connections from this address or IPv6 /64.
    PerAddress {
        /// The cap.
        limit: usize,
    },
}

impl Refused {
    /// A short word for counters and logs.
    #[must_use]
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Total { .. } => "max-connections",
            Self::HalfOpen { .. } => "max-half-open",
            Self::PerAddress { .. } => "max-per-address",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total { limit } => {
                write!(f, "{limit} connections are open, which is the limit (`limits.connections`)")
            }
            Self::HalfOpen { limit } => {
                write!(f, "{limit} handshakes are under way, which is the limit (`limits.half_open`)")
            }
            Self::PerAddress { limit } => write!(
                f,
                "{limit} connections are open from this address, which is the limit (`limits.connections_per_address`)"
            ),
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(ip: &str) -> ClientAddr {
        ClientAddr::new(SocketAddr::new(ip.parse().unwrap(), 5000))
    }

    fn counter(total: usize, half_open: usize, per_address: usize) -> AddressCounter {
        AddressCounter::new(AddressLimits { total, half_open, per_address, loopback: false })
    }

    #[test]
    fn mapped_addresses_are_plain_ones() {
        assert_eq!(from("::ffff:1.2.3.4"), from("1.2.3.4"));
        assert!(from("::ffff:127.0.0.1").is_loopback() && from("::1").is_loopback());
        assert!(!from("10.0.0.1").is_loopback());
        assert_eq!(from("::ffff:1.2.3.4").to_string(), "1.2.3.4:5000");
    }

    #[test]
    fn half_open_connections_have_a_cap_of_their_own() {
        let mut counter = counter(10, 2, 100);
        let mut first = counter.try_admit(from("127.0.0.1")).unwrap();
        let second = counter.try_admit(from("127.0.0.1")).unwrap();
        assert_eq!(counter.try_admit(from("127.0.0.1")).unwrap_err(), Refused::HalfOpen { limit: 2 });
        counter.established(&mut first);
        counter.established(&mut first);
        assert_eq!(counter.half_open, 1);
        let third = counter.try_admit(from("127.0.0.1")).unwrap();
        counter.release(second);
        counter.release(first);
        counter.release(third);
        assert_eq!((counter.open, counter.half_open), (0, 0));
    }

    #[test]
    fn the_total_counts_everybody() {
        let mut counter = counter(2, 10, 10);
        let one = counter.try_admit(from("127.0.0.1")).unwrap();
        let _two = counter.try_admit(from("10.0.0.1")).unwrap();
        assert_eq!(counter.try_admit(from("10.0.0.2")).unwrap_err(), Refused::Total { limit: 2 });
        counter.release(one);
        assert!(counter.try_admit(from("10.0.0.2")).is_ok());
    }

    #[test]
    fn addresses_are_capped_and_loopback_is_not() {
        let mut counter = counter(1000, 1000, 2);
        let mut seats: Vec<Seat> = (0..500).map(|_| counter.try_admit(from("127.0.0.1")).unwrap()).collect();
        seats.push(counter.try_admit(from("2001:db8::1")).unwrap());
        seats.push(counter.try_admit(from("2001:db8::ffff:0:0:1")).unwrap());
        assert_eq!(counter.try_admit(from("2001:db8::2")).unwrap_err().label(), "max-per-address");
        seats.push(counter.try_admit(from("2001:db8:0:1::1")).unwrap());
        seats.push(counter.try_admit(from("192.0.2.1")).unwrap());
        seats.push(counter.try_admit(from("::ffff:192.0.2.1")).unwrap());
        let refused = counter.try_admit(from("192.0.2.1")).unwrap_err();
        assert!(refused.to_string().contains("connections_per_address"), "{refused}");
        for mut seat in seats {
            counter.established(&mut seat);
            counter.release(seat);
        }
        assert_eq!((counter.open, counter.half_open, counter.per_address.len()), (0, 0, 0));
    }

    #[test]
    fn a_connection_of_a_proxy_counts_for_the_client_it_serves() {
        let mut counter = counter(10, 10, 1);
        let seat = counter.try_admit(None).unwrap();
        let one = counter.count(Some(from("192.0.2.1"))).unwrap();
        assert_eq!(counter.count(Some(from("192.0.2.1"))), Err(Refused::PerAddress { limit: 1 }));
        let other = counter.count(Some(from("192.0.2.2"))).unwrap();
        assert_eq!(counter.count(Some(from("127.0.0.1"))), Ok(None));
        counter.leave(one);
        let again = counter.count(Some(from("192.0.2.1"))).unwrap();
        [again, other].into_iter().for_each(|group| counter.leave(group));
        counter.release(seat);
        assert_eq!((counter.open, counter.per_address.len()), (0, 0));
    }

    #[test]
    fn a_refusal_counts_nothing() {
        let mut counter = counter(5, 5, 1);
        let _seat = counter.try_admit(from("10.0.0.1")).unwrap();
        for _ in 0..100 {
            assert!(counter.try_admit(from("10.0.0.1")).is_err());
        }
        assert_eq!((counter.open, counter.half_open, counter.per_address.len()), (1, 1, 1));
    }

    #[test]
    fn a_full_house_of_addresses_is_all_the_memory() {
        let mut counter = counter(100, 100, 10);
        let seats: Vec<Seat> = (0..1000_u32)
            .filter_map(|n| {
                counter.try_admit(ClientAddr::new((std::net::Ipv4Addr::from_bits(0x0a00_0000 + n), 1).into())).ok()
            })
            .collect();
        assert_eq!((seats.len(), counter.per_address.len()), (100, 100));
    }
}
