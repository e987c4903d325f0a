//! Whom does a certificate name, and from when to when?
//!
//! What is read here decides nothing about trust: rustls has verified a client's certificate before anybody looks at its names,
//! and a server's own is its author's.

use super::der::{self, Der};
use crate::principal::Principal;
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::{Duration, SystemTime};

/// Names of one certificate that are looked at; more are passed over.
const MOST_NAMES: usize = 1_000;
/// The longest name that becomes a principal's id.
const ID_BYTES: usize = 512;

/// `id-at-commonName` (2.5.4.3).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// `id-ce-subjectAltName` (2.5.29.17).
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// What a certificate says of its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content<'a> {
    pub(crate) not_before: Time,
    pub(crate) not_after: Time,
    /// Of the subject; the most specific one.
    pub(crate) common_name: Option<&'a str>,
    pub(crate) dns_names: Vec<&'a str>,
    pub(crate) emails: Vec<&'a str>,
    pub(crate) uris: Vec<&'a str>,
}

impl<'a> Content<'a> {
    /// Reads a certificate (RFC 5280, 4.1). `None` if it is not one.
    pub(crate) fn read(certificate: &'a [u8]) -> Option<Self> {
        let mut outer = Der::new(certificate);
        let mut signed = outer.enter(der::SEQUENCE)?.enter(der::SEQUENCE)?;
        if !outer.is_empty() {
            return None;
        }
        signed.optional(der::explicit(0)); // version
        signed.take(der::INTEGER)?; // serial number
        signed.take(der::SEQUENCE)?; // signature algorithm
        signed.take(der::SEQUENCE)?; // issuer
        let mut validity = signed.enter(der::SEQUENCE)?;
        let (not_before, not_after) = (Time::read(&mut validity)?, Time::read(&mut validity)?);
        let common_name = common_name(signed.enter(der::SEQUENCE)?);
        signed.take(der::SEQUENCE)?; // public key
        signed.optional(der::context(1)); // unique ids of issuer and subject
        signed.optional(der::context(2));
        let mut content =
            Self { not_before, not_after, common_name, dns_names: Vec::new(), emails: Vec::new(), uris: Vec::new() };
        if let Some(extensions) = signed.optional(der::explicit(3)) {
            let mut extensions = Der::new(extensions).enter(der::SEQUENCE)?;
            while !extensions.is_empty() {
                let mut extension = extensions.enter(der::SEQUENCE)?;
                let id = extension.take(der::OID)?;
                extension.optional(der::BOOLEAN);
                let value = extension.take(der::OCTET_STRING)?;
                if id == SUBJECT_ALT_NAME {
                    content.add_names(Der::new(value).enter(der::SEQUENCE)?)?;
                }
            }
        }
        signed.is_empty().then_some(content)
    }

    fn add_names(&mut self, mut names: Der<'a>) -> Option<()> {
        for _ in 0..MOST_NAMES {
            if names.is_empty() {
                break;
            }
            let (tag, name) = names.next()?;
            // RFC 5280, 4.2.1.6: GeneralName.
            let list = match tag & 0x1f {
                1 => &mut self.emails,
                2 => &mut self.dns_names,
                6 => &mut self.uris,
                _ => continue,
            };
            list.extend(plain(name).filter(|name| name.is_ascii()));
        }
        Some(())
    }
}

/// The most specific common name, which is the last one: a name goes from the largest unit to the smallest.
fn common_name(mut subject: Der<'_>) -> Option<&str> {
    let mut found = None;
    while let Some(mut set) = subject.enter(der::SET) {
        while let Some(mut attribute) = set.enter(der::SEQUENCE) {
            if attribute.take(der::OID) != Some(COMMON_NAME) {
                continue;
            }
            if let Some((der::UTF8_STRING | der::PRINTABLE_STRING | der::IA5_STRING, text)) = attribute.next() {
                found = plain(text).or(found);
            }
        }
    }
    found
}

/// A text that can be shown and compared: not empty, without control characters (a NUL in a name has fooled many).
fn plain(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty() && !text.chars().any(char::is_control))
}

/// A moment as certificates write it, in universal time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Time {
    fn read(der: &mut Der<'_>) -> Option<Self> {
        let (tag, text) = der.next()?;
        let mut digits = Digits(text);
        let year = match tag {
            // RFC 5280, 4.1.2.5.1: "Where YY is greater than or equal to 50, the year SHALL be interpreted as 19YY".
            der::UTC_TIME => match digits.two()? {
                year @ 50.. => 1900 + u16::from(year),
                year => 2000 + u16::from(year),
            },
            der::GENERALIZED_TIME => u16::from(digits.two()?) * 100 + u16::from(digits.two()?),
            _ => return None,
        };
        let time = Self {
            year,
            month: digits.two()?,
            day: digits.two()?,
            hour: digits.two()?,
            minute: digits.two()?,
            second: digits.two()?,
        };
        let possible = (1..=12).contains(&time.month)
            && (1..=31).contains(&time.day)
            && time.hour < 24
            && time.minute < 60
            && time.second < 60;
        (possible && digits.0 == b"Z").then_some(time)
    }

    /// Seconds since the beginning of 1970.
    pub(crate) fn unix(self) -> i64 {
        // Days of the Gregorian calendar, counted in years that begin in March: so the leap day is the last of its year.
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
        days * 86_400 + i64::from(self.hour) * 3_600 + i64::from(self.minute) * 60 + i64::from(self.second)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    fn two(&mut self) -> Option<u8> {
        let ([tens, ones], rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
    }
}

/// The certificate by which a client has proven who it is. Its [`Principal`] carries it:
///
/// ```
/// # use mcp_blocking::{ClientCertificate, Principal};
/// # fn department(principal: &Principal) -> Option<String> {
/// let certificate = principal.user::<ClientCertificate>()?;
/// certificate.dns_names().iter().find_map(|name| name.strip_suffix(".agents.example.com")).map(str::to_owned)
/// # }
/// ```
///
/// It was issued by one of the authorities of [`TlsConfig::client_ca_file`](crate::TlsConfig::client_ca_file), was valid when the
/// connection began, and the client has its key.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    der: Box<[u8]>,
    common_name: Option<String>,
    dns_names: Vec<String>,
    emails: Vec<String>,
    uris: Vec<String>,
    not_after: Option<SystemTime>,
}

impl ClientCertificate {
    pub(crate) fn new(der: &[u8]) -> Self {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        // Without content, its fingerprint is left to tell it by.
        let content = Content::read(der);
        let Some(Content { common_name, dns_names, emails, uris, not_after, .. }) = content else {
            return Self {
                der: der.into(),
                common_name: None,
                dns_names: Vec::new(),
                emails: Vec::new(),
                uris: Vec::new(),
                not_after: None,
            };
        };
        // The last second is still part of it (RFC 5280, 4.1.2.5).
        let seconds = u64::try_from(not_after.unix().saturating_add(1)).unwrap_or_default();
        Self {
            der: der.into(),
            common_name: common_name.map(str::to_owned),
            // Names of hosts are the same in any case, and an id has one spelling.
            dns_names: dns_names.into_iter().map(str::to_ascii_lowercase).collect(),
            emails: owned(emails),
            uris: owned(uris),
            not_after: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        }
    }

    /// The certificate as it was sent, in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The SHA-256 of [`der`](Self::der), in lower-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::digest(&self.der))
    }

    /// The most specific common name (CN) of the subject.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The DNS names among the subject's alternative names, in lower case.
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    /// The e-mail addresses among them.
    pub fn emails(&self) -> &[String] {
        &self.emails
    }

    /// The URIs among them, such as `spiffe://example.com/agent`.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// Who that is, with an id that says by which kind of name: no kind can pass for another.
    pub(crate) fn into_principal(self) -> Principal {
        let named = [
            ("uri", self.uris.first()),
            ("email", self.emails.first()),
            ("dns", self.dns_names.first()),
            ("cn", self.common_name.as_ref()),
        ];
        let found = named.into_iter().find_map(|(kind, name)| name.map(|name| (kind, name)));
        let id = match found.filter(|(_, name)| name.len() <= ID_BYTES) {
            Some((kind, name)) => format!("cert:{kind}:{name}"),
            None => format!("cert:sha256:{}", self.fingerprint()),
        };
        let principal = Principal::new(id);
        // Connections live long: they end with it.
        let principal = self.not_after.into_iter().fold(principal, Principal::expiring);
        principal.with_user(self)
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("fingerprint", &self.fingerprint())
            .field("common_name", &self.common_name)
            .field("dns_names", &self.dns_names)
            .field("emails", &self.emails)
            .field("uris", &self.uris)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
