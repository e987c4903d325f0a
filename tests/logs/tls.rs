//! What a TLS handshake says.

use super::{capture, check, lines, server};
use crate::certs::{self, Authority, Client, Files};
use crate::corpus::{corpus, each};
use crate::peer::{Peer, serve};
use crate::raw::Raw;
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DnType, DnValue, SanType, date_time_ymd};
use std::time::Duration;

#[test]
fn why_a_tls_handshake_fails_is_said_in_one_line_of_its_own() {
    capture();
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let files = Files::new();
    let expired = authority.issue_with(&["expired.example"], |params| params.not_after = date_time_ymd(2021, 1, 1));
    let good = authority.issue(&["localhost"]);
    let config = files.put(&good).and_pem(&expired.chain, &expired.key).client_ca_pem(clients.pem());
    let running = serve(server().tls(config.look_every(Duration::ZERO)));
    let address = running.addr();
    let odd =
        clients.issue_with(&[], |params| params.distinguished_name.push(DnType::CommonName, "\u{202e}alice\u{200f}"));
    let stranger =
        authority.issue_with(&[], |params| params.distinguished_name.push(DnType::CommonName, "\u{202e}mallory"));
    let with = |own| Client::with(&authority, &certs::VERSIONS, own);
    let mut peer = Peer::over(Box::new(with(Some(&odd)).connect(address)), "localhost", &[]);
    peer.barrier();
    for client in [with(None), with(Some(&stranger)), with(Some(&odd)).named("expired.example")] {
        client.try_connect(address).expect_err("refused");
    }
    let told = |bytes: &[u8]| {
        let mut raw = Raw::connect(address);
        raw.send(bytes);
        raw.wait_end();
    };
    told(b"GET / HTTP/1.1\r\n\x1b[31m\r\n\r\n");
    told(b"\x16\x03\x01\x00\x05\x1b[31m");
    files.write("key.pem", &expired.key);
    peer.barrier();
    assert!(running.handle().reload_tls().is_err());
    let _ = files.put(&authority.issue(&["localhost"]));
    assert_eq!(running.handle().reload_tls().expect("good files").len(), 2);
    check(
        running,
        &[
            "INFO mcp_blocking::tls: certificate in `",
            "for localhost, valid until 4096-01-01",
            "the certificate in PEM in memory for expired.example has expired, on 2021-01-01 00:00:00 UTC: clients will refuse it",
            "refused in the TLS handshake: the client has sent no certificate",
            "refused in the TLS handshake: the client's certificate is not accepted: ",
            "refused in the TLS handshake: the client does not accept the server's certificate (CertificateExpired)",
            "refused with 400: this port speaks TLS",
            "refused in the TLS handshake: received corrupt message",
            "opened by cert:cn:\\u{202e}alice",
            "the old certificates stay: `",
            "new certificates are in use, from `",
        ],
    );
    // Keys are never shown.
    let secret = good.key.lines().nth(1).expect("a line of base64");
    assert!(lines().iter().all(|line| !line.contains(secret)));
}

/// A handshake's first message, with whatever is put for the name and the protocol that it asks for.
fn client_hello(server_name: &[u8], protocol: &[u8]) -> Vec<u8> {
    fn sized<const WIDTH: usize>(parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let length = u32::try_from(body.len()).expect("a short one").to_be_bytes();
        [&length[4 - WIDTH..], &body].concat()
    }
    let extension = |kind: u8, body: &[u8]| [&[0, kind][..], &sized::<2>(&[body])].concat();
    let extensions = [
        extension(0, &sized::<2>(&[&[0], &sized::<2>(&[server_name])])), // RFC 6066, 3
        extension(16, &sized::<2>(&[&sized::<1>(&[protocol])])),         // RFC 7301, 3.1
        extension(10, &sized::<2>(&[&[0, 23]])),                         // secp256r1
        extension(13, &sized::<2>(&[&[4, 3]])),                          // ecdsa_secp256r1_sha256
        extension(43, &sized::<1>(&[&[3, 3]])),                          // TLS 1.2
    ];
    let ciphers = sized::<2>(&[&[0xc0, 0x2b]]);
    let hello = sized::<3>(&[&[3, 3], &[7; 32], &[0], &ciphers, &[1, 0], &sized::<2>(&[&extensions.concat()])]);
    [&[22, 3, 1][..], &sized::<2>(&[&[1], &hello])].concat()
}

#[test]
fn what_a_client_hello_asks_for_stays_on_its_line() {
    capture();
    let authority = Authority::new("server");
    let running = serve(server().tls(authority.issue(&["localhost"]).config()));
    let address = running.addr();
    let told = |server_name: &[u8], protocol: &[u8]| {
        let mut raw = Raw::connect(address);
        raw.send(&client_hello(server_name, protocol));
        raw.wait_end();
    };
    for value in corpus() {
        told(&value, b"http/1.1");
        told(b"localhost", &value[..value.len().min(255)]);
        told(&[b"localhost", &*value].concat(), &value[..value.len().min(255)]);
    }
    // The client beside them.
    Client::new(&authority).peer(&running, crate::peer::MODERN).barrier();
    check(
        running,
        &[
            "refused in the TLS handshake: peer misbehaved: ServerNameMustContainOneHostName",
            "refused in the TLS handshake: the client offers protocols (ALPN), and http/1.1 is not one of them",
        ],
    );
}

#[test]
fn whom_a_certificate_names_stays_on_its_line() {
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let tls = authority.issue(&["localhost"]).config().client_ca_pem(clients.pem());
    each(
        || serve(server().tls(tls.clone())),
        |running, _, text| {
            let shows = |change: &dyn Fn(&mut CertificateParams)| {
                let own = clients.issue_with(&[], change);
                let client = Client::with(&authority, &certs::VERSIONS, Some(&own));
                // What is no name is none; whose certificate cannot be read is turned away.
                if let Ok(stream) = client.try_connect(running.addr()) {
                    drop(stream);
                    Peer::over(Box::new(client.connect(running.addr())), "localhost", &[]).barrier();
                }
            };
            for kind in [DnType::CommonName, DnType::OrganizationName] {
                shows(&|params| params.distinguished_name.push(kind.clone(), DnValue::Utf8String(text.to_owned())));
            }
            // These hold ASCII only.
            if let Ok(name) = Ia5String::try_from(text) {
                for kind in [SanType::DnsName, SanType::URI, SanType::Rfc822Name] {
                    shows(&|params| params.subject_alt_names.push(kind(name.clone())));
                }
            }
        },
        &["opened by cert:cn:\\u{202e}evil", "opened by cert:sha256:"],
    );
}
