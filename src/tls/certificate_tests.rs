use super::*;
use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType, date_time_ymd};
use std::net::IpAddr;

fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn id(change: impl FnOnce(&mut CertificateParams)) -> String {
    ClientCertificate::new(&certificate(change)).into_principal().id().to_owned()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[test]
fn names_and_term_are_read() {
    let der = certificate(|params| {
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, "Ägent 7");
        params.subject_alt_names = vec![
            dns("One.example"),
            SanType::IpAddress(IpAddr::from([127, 0, 0, 1])),
            SanType::URI("spiffe://example/agent".try_into().unwrap()),
            dns("*.two.example"),
            SanType::Rfc822Name("who@example".try_into().unwrap()),
        ];
        params.not_before = date_time_ymd(1999, 12, 31);
        params.not_after = date_time_ymd(2050, 2, 28);
    });
    let content = Content::read(&der).unwrap();
    assert_eq!(content.common_name, Some("Ägent 7"));
    assert_eq!(content.dns_names, ["One.example", "*.two.example"]);
    assert_eq!(content.emails, ["who@example"]);
    assert_eq!(content.uris, ["spiffe://example/agent"]);
    assert_eq!(content.not_before.to_string(), "1999-12-31 00:00:00 UTC");
    assert_eq!(content.not_after.to_string(), "2050-02-28 00:00:00 UTC");
    assert!(content.not_before < content.not_after);

    let certificate = ClientCertificate::new(&der);
    assert_eq!(certificate.dns_names(), ["one.example", "*.two.example"]);
    assert_eq!(certificate.der(), der);
    let shown = format!("{certificate:?}");
    assert!(shown.contains(&certificate.fingerprint()) && certificate.fingerprint().len() == 64, "{shown}");
    let principal = certificate.clone().into_principal();
    assert_eq!(principal.user::<ClientCertificate>(), Some(&certificate));
}

#[test]
fn an_id_says_which_kind_of_name_it_is() {
    let named = |params: &mut CertificateParams| params.distinguished_name.push(DnType::CommonName, "alice");
    assert_eq!(id(named), "cert:cn:alice");
    let with = |names: Vec<SanType>| {
        id(|params| {
            named(params);
            params.subject_alt_names = names;
        })
    };
    let email = || SanType::Rfc822Name("a@example".try_into().unwrap());
    let uri = || SanType::URI("urn:a".try_into().unwrap());
    assert_eq!(with(vec![dns("B.example"), dns("a.example")]), "cert:dns:b.example");
    assert_eq!(with(vec![dns("b.example"), email()]), "cert:email:a@example");
    assert_eq!(with(vec![dns("b.example"), email(), uri()]), "cert:uri:urn:a");
    assert_eq!(with(vec![SanType::IpAddress(IpAddr::from([10, 0, 0, 1]))]), "cert:cn:alice");
    // One kind cannot pass for another.
    assert_eq!(id(|params| params.distinguished_name.push(DnType::CommonName, "uri:urn:a")), "cert:cn:uri:urn:a");
}

#[test]
fn without_a_good_name_the_fingerprint_is_the_id() {
    let printable = |text: &str| DnValue::Utf8String(text.into());
    for name in [None, Some("a\0b"), Some("line\nfeed"), Some("")] {
        let id = id(|params| {
            if let Some(name) = name {
                params.distinguished_name.push(DnType::CommonName, printable(name));
            }
        });
        assert!(id.starts_with("cert:sha256:") && id.len() == 12 + 64, "{name:?}: {id}");
    }
    let long = "x".repeat(ID_BYTES + 1);
    let id = id(|params| params.distinguished_name.push(DnType::CommonName, printable(&long)));
    assert!(id.starts_with("cert:sha256:"), "{id}");
    let junk = ClientCertificate::new(b"no certificate").into_principal();
    assert!(junk.id().starts_with("cert:sha256:"));
}

#[test]
fn whatever_is_changed_in_a_certificate_it_is_read_or_it_is_not() {
    let good = certificate(|params| {
        params.distinguished_name.push(DnType::CommonName, "alice");
        params.subject_alt_names = vec![dns("a.example"), SanType::URI("urn:a".try_into().unwrap())];
    });
    for end in 0..good.len() {
        assert_eq!(Content::read(&good[..end]), None, "cut at {end}");
    }
    for at in 0..good.len() {
        for bits in [0x01, 0x20, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= bits;
            let _ = ClientCertificate::new(&bad).into_principal();
        }
    }
    assert_eq!(Content::read(&[good.as_slice(), &[0]].concat()), None);
}

fn time(tag: u8, text: &str) -> Option<Time> {
    Time::read(&mut Der::new(&[&[tag, text.len() as u8], text.as_bytes()].concat()))
}

#[test]
fn moments_are_counted_as_everybody_counts_them() {
    for (text, seconds) in [
        ("19700101000000Z", 0),
        ("19691231235959Z", -1),
        ("20000229120000Z", 951_825_600),
        ("20240229235959Z", 1_709_251_199),
        ("20261105101112Z", 1_793_873_472),
        ("20991231235959Z", 4_102_444_799),
        ("99991231235959Z", 253_402_300_799),
    ] {
        assert_eq!(time(der::GENERALIZED_TIME, text).unwrap().unix(), seconds, "{text}");
    }
    assert_eq!(time(der::UTC_TIME, "500101000000Z").unwrap().to_string(), "1950-01-01 00:00:00 UTC");
    assert_eq!(time(der::UTC_TIME, "491231235959Z").unwrap().to_string(), "2049-12-31 23:59:59 UTC");
    for text in [
        "",
        "Z",
        "2401010000Z",
        "240101000000",
        "240101000000+0100",
        "241301000000Z",
        "240100000000Z",
        "240132000000Z",
        "240101240000Z",
        "240101006000Z",
        "24010100000 Z",
        "24010100000\u{660}Z",
        "20240101000000Z",
    ] {
        assert_eq!(time(der::UTC_TIME, text), None, "{text}");
    }
    assert_eq!(time(der::OCTET_STRING, "240101000000Z"), None);
}
