use super::*;

fn read(text: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
    Head::parse(text, HeadLimits::default())
}

fn status(text: impl AsRef<[u8]>) -> u16 {
    match read(text.as_ref()) {
        Ok(Some(_)) => 200,
        Ok(None) => 0,
        Err(error) => error.status,
    }
}

#[test]
fn a_plain_head_is_read_and_the_rest_is_left() {
    let text = b"GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n\x81\x00rest";
    let (head, used) = read(text).unwrap().unwrap();
    assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", "/mcp"));
    assert_eq!(&text[used..], b"\x81\x00rest");
}

#[test]
fn every_split_gives_the_same_head() {
    let text = b"\r\nPOST /mcp?q HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let (whole, used) = read(text).unwrap().unwrap();
    assert_eq!(&text[used..], b"abc");
    for at in 0..used {
        let mut reader = HeadReader::new(HeadLimits::default());
        assert!(matches!(reader.push(&text[..at]), Ok(Progress::More)));
        let Ok(Progress::Done { head, used: second }) = reader.push(&text[at..]) else { panic!("split at {at}") };
        assert_eq!((head, at + second), (whole.clone(), used));
    }
}

#[test]
fn a_dripped_head_and_the_next_one_are_read_by_one_reader() {
    let mut reader = HeadReader::new(HeadLimits::default());
    let text = b"GET /1 HTTP/1.1\r\nA: b\r\n\r\nGET /2 HTTP/1.1\r\n\r\n";
    let mut targets = Vec::new();
    assert!(reader.is_idle());
    for byte in text {
        if let Progress::Done { head, used } = reader.push(&[*byte]).unwrap() {
            assert_eq!(used, 1);
            assert!(reader.is_idle());
            targets.push(head.target);
        }
    }
    assert_eq!(targets, ["/1", "/2"]);
    assert!(!format!("{reader:?}").contains("GET"));
}

#[test]
fn an_error_lasts() {
    let mut reader = HeadReader::new(HeadLimits::default());
    assert_eq!(reader.push(b"GET / HTTP/1.1\n").unwrap_err(), BARE_LF);
    assert_eq!(reader.push(b"GET / HTTP/1.1\r\n\r\n").unwrap_err(), BARE_LF);
}

#[test]
fn tls_is_recognized_at_its_first_byte() {
    let error = read(b"\x16\x03\x01").unwrap_err();
    assert_eq!((error.kind, error.label()), (HeadErrorKind::Tls, "tls-on-plain"));
    // … but only as the very first byte.
    assert_eq!(read(b"\r\n\x16").unwrap_err().kind, HeadErrorKind::Malformed);
}

#[test]
fn versions_other_than_1_1_get_505() {
    for version in ["HTTP/1.0", "HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/2", "HTTP/3.0", "HTTP/9.9"] {
        assert_eq!(status(format!("GET / {version}\r\n\r\n")), 505, "{version}");
    }
    assert_eq!(status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    for version in ["http/1.1", "HTTP/1.10", "HTTP/1", "HTTP/11", "HTTP/1.x", "HTTPS/1.1", "HTTP/", "FTP/1.1"] {
        let got = status(format!("GET / {version}\r\n\r\n"));
        assert!(got == 400 || (version == "HTTP/1" && got == 505), "{version} {got}");
    }
}

#[test]
fn a_bad_request_line_is_refused_before_the_head_ends() {
    for (line, wanted) in [("GET /\r\n", 400), ("GET / HTTP/1.0\r\n", 505), ("GET http://a/ HTTP/1.1\r\n", 400)] {
        assert_eq!(status(line), wanted, "{line:?}");
    }
}

#[test]
fn bad_request_lines_get_400() {
    for line in [
        "GET /",
        "GET",
        "/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET\t/\tHTTP/1.1",
        "GET / HTTP/1.1\t",
        "G@T / HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /\u{212a} HTTP/1.1",
        "GET /\x00 HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /\x0b HTTP/1.1",
        "(GET) / HTTP/1.1",
        "GET http://localhost/ HTTP/1.1",
        "GET https://evil/mcp HTTP/1.1",
        "GET localhost:80 HTTP/1.1",
        "CONNECT localhost:80 HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /#frag HTTP/1.1",
        "GET ?q HTTP/1.1",
        "GET mcp HTTP/1.1",
        "OPTIONS ** HTTP/1.1",
    ] {
        assert_eq!(status(format!("{line}\r\nHost: localhost\r\n\r\n")), 400, "{line:?}");
    }
    assert_eq!(status("OPTIONS * HTTP/1.1\r\n\r\n"), 200);
}

#[test]
fn odd_line_ends_get_400() {
    for text in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\rHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHo\rst: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\rX",
        "\nGET / HTTP/1.1\r\n\r\n",
        "\rGET / HTTP/1.1\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "\r\n GET / HTTP/1.1\r\n\r\n",
        "\u{feff}GET / HTTP/1.1\r\n\r\n",
        "\0",
    ] {
        assert_eq!(status(text), 400, "{text:?}");
    }
    assert_eq!(status("\r\nGET / HTTP/1.1\r\n\r\n"), 200);
}

#[test]
fn bad_header_lines_get_400() {
    for line in [
        " Host: a",
        "\tHost: a",
        "Host : a",
        "Host\t: a",
        ": a",
        "Host",
        "Ho st: a",
        "Host(x): a",
        "H\u{f6}st: a",
        "\u{212a}: a",
        "Host@: a",
        "Host: a\x00b",
        "Host: a\x01",
        "Host: a\x0b",
        "Host: a\x0c",
        "Host: a\x7f",
        "Host: \x1b[2J",
        "A: b\r\n folded",
        "A: b\r\n\tfolded",
        "\"Host\": a",
        "Ho/st: a",
        "Host;: a",
    ] {
        assert_eq!(status(format!("GET / HTTP/1.1\r\n{line}\r\n\r\n")), 400, "{line:?}");
    }
    assert_eq!(status("GET / HTTP/1.1\r\nA: caf\u{e9}\tb\r\n\r\n"), 200);
    assert_eq!(status("GET / HTTP/1.1\r\nA:b:c: d\r\n\r\n"), 200);
}

#[test]
fn limits_are_held_to_the_byte() {
    let limits = HeadLimits { bytes: 40, lines: 2 };
    let fits = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(40 - 16 - 3 - 4));
    assert_eq!(fits.len(), 40);
    assert!(Head::parse(fits.as_bytes(), limits).unwrap().is_some());
    let over = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(40 - 16 - 3 - 3));
    assert_eq!(Head::parse(over.as_bytes(), limits).unwrap_err().status, 431);
    let lines = b"GET / HTTP/1.1\r\nA:\r\nB:\r\nC";
    assert_eq!(Head::parse(lines, limits).unwrap_err().status, 431);
    assert_eq!(Head::parse(&[b'G'; 41], limits).unwrap_err().status, 414);
}

#[test]
fn default_limits_refuse_floods_before_they_end() {
    let many = format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(65));
    assert_eq!(status(many), 431);
    let exact = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(64));
    assert_eq!(status(exact), 200);
    assert_eq!(status(format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(9000))), 431);
    assert_eq!(status(format!("GET / HTTP/1.1\r\n{}", "x".repeat(9000))), 431);
    assert_eq!(status(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(4095))), 200);
    assert_eq!(status(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(4096))), 414);
    assert_eq!(status(format!("GET /{}", "x".repeat(9000))), 414);
    assert_eq!(status(format!("{} / HTTP/1.1\r\n\r\n", "X".repeat(33))), 501);
}
