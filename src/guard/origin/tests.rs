use super::*;
use crate::http::head::tests::head;

fn host_policy(patterns: &[&str]) -> HostPolicy {
    let mut policy = HostPolicy::default();
    for pattern in patterns {
        policy.allow(pattern).unwrap();
    }
    policy
}

fn host_status(policy: &HostPolicy, host: &str) -> u16 {
    let head = head(&["GET /mcp HTTP/1.1", &format!("Host: {host}")]);
    policy.check_host(&head).map_or_else(|refusal| refusal.status, |_| 200)
}

fn origin_status(patterns: &[&str], host: &str, origin: &str) -> u16 {
    let mut policy = OriginPolicy::default();
    for pattern in patterns {
        policy.allow(pattern).unwrap();
    }
    let head = head(&["GET /mcp HTTP/1.1", &format!("Origin: {origin}")]);
    let host = Authority::parse(host).unwrap();
    policy.check_origin(&head, &host).map_or_else(|refusal| refusal.status, |_| 200)
}

#[test]
fn without_settings_only_loopback_hosts_pass() {
    let policy = HostPolicy::default();
    for host in [
        "localhost",
        "localhost:8080",
        "LOCALHOST:1",
        "127.0.0.1:8080",
        "127.9.9.9",
        "[::1]:80",
        "[::ffff:127.0.0.1]:80",
    ] {
        assert_eq!(host_status(&policy, host), 200, "{host}");
    }
    // DNS rebinding and its relatives.
    for host in [
        "evil.com",
        "evil.com:8080",
        "localhost.evil.com",
        "127.0.0.1.evil.com",
        "127.0.0.1.nip.io:8080",
        "evil.localhost",
        "7f000001.rbndr.us",
        "0.0.0.0:8080",
        "[::]:8080",
        "192.168.1.5",
        "[fe80::1]",
        "169.254.169.254",
        "xn--lcalhost-1cb",
    ] {
        assert_eq!(host_status(&policy, host), 403, "{host}");
    }
    for host in [
        "",
        "localhost@evil.com",
        "evil.com@localhost",
        "localhost:8080@evil.com",
        "localhost.",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "localhost, evil.com",
        "localhost evil.com",
        "localhost:0",
        "localhost:",
        "localhost:99999",
        "localhost\\.evil.com",
        "http://localhost",
        "localhost/",
        "local\u{212a}host",
        "localho\u{17f}t",
        "%6cocalhost",
        "[::1",
        "::1",
        "[::1%lo0]",
        "*",
        "*.localhost",
    ] {
        assert_eq!(host_status(&policy, host), 400, "{host:?}");
    }
}

#[test]
fn missing_and_doubled_hosts_are_bad_requests() {
    let policy = HostPolicy::default();
    assert_eq!(policy.check_host(&head(&["GET / HTTP/1.1"])).unwrap_err().status, 400);
    let twice = head(&["GET / HTTP/1.1", "Host: localhost", "Host: localhost"]);
    assert_eq!(policy.check_host(&twice).unwrap_err().status, 400);
    let mixed = head(&["GET / HTTP/1.1", "Host: localhost", "hOST: evil.com"]);
    assert_eq!(policy.check_host(&mixed).unwrap_err().status, 400);
}

#[test]
fn named_hosts_pass_with_or_without_port() {
    let any = host_policy(&["Example.COM"]);
    assert_eq!(host_status(&any, "example.com"), 200);
    assert_eq!(host_status(&any, "EXAMPLE.com:1234"), 200);
    for host in ["a.example.com", "example.com.evil.org", "evilexample.com", "example.co"] {
        assert_eq!(host_status(&any, host), 403, "{host}");
    }
    let port = host_policy(&["example.com:8443", "192.168.1.5", "[fd00::1]:9"]);
    assert_eq!(host_status(&port, "example.com:8443"), 200);
    assert_eq!(host_status(&port, "example.com"), 403);
    assert_eq!(host_status(&port, "example.com:8444"), 403);
    assert_eq!(host_status(&port, "192.168.1.5:8080"), 200);
    assert_eq!(host_status(&port, "[FD00:0::1]:9"), 200);
    let default = host_policy(&["example.com:443"]);
    assert_eq!(host_status(&default, "example.com"), 200);
    assert_eq!(host_status(&default, "example.com:80"), 403);
}

#[test]
fn wildcards_match_whole_labels_only() {
    let policy = host_policy(&["*.example.com"]);
    assert_eq!(host_status(&policy, "a.example.com:99"), 200);
    assert_eq!(host_status(&policy, "a.b.example.com"), 200);
    for host in ["example.com", "evilexample.com", "a.example.com.evil.org", "aexample.com"] {
        assert_eq!(host_status(&policy, host), 403, "{host}");
    }
    assert_eq!(host_status(&policy, ".example.com"), 400);
    assert_eq!(host_status(&host_policy(&["*.localhost"]), "app.localhost:80"), 200);
}

#[test]
fn wrong_patterns_say_what_to_write() {
    for (pattern, word) in [
        ("https://example.com", "scheme"),
        ("example.com/", "path"),
        ("*", "whole first label"),
        ("*.com", "top-level"),
        ("*example.com", "first label"),
        ("a.*.example.com", "first label"),
        ("*.*.example.com", "first label"),
        ("*.127.0.0.1", "address"),
        ("*.[::1]", "address"),
        ("", "name a host"),
        ("b\u{fc}cher.de", "xn--"),
        ("example.com:0", "port"),
        ("127.1", "four plain"),
        ("example.com.", "dot"),
        ("user@example.com", "user name"),
        ("exa mple.com", "letters"),
        ("evil\u{1b}[31m", "\\u{1b}"),
    ] {
        let error = HostPattern::parse(pattern).unwrap_err();
        assert_eq!(error.setting, "allow_host");
        assert!(error.to_string().contains(word) || pattern.contains('\u{1b}'), "{pattern:?}: {error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
    for (pattern, word) in [
        ("*", "every web page"),
        ("app.example.com", "scheme"),
        ("https://app.example.com/", "slash"),
        ("https://app.example.com/x", "path"),
        ("https://*.com", "top-level"),
        ("https://*", "first label"),
        ("https://a*.example.com", "first label"),
        ("://a", "scheme"),
        ("1http://a", "scheme"),
        ("https://", "name a host"),
        ("https://a:b", "port"),
        ("NULL", "scheme"),
    ] {
        let error = OriginPattern::parse(pattern).unwrap_err();
        assert_eq!(error.setting, "allow_origin");
        assert!(error.to_string().contains(word), "{pattern:?}: {error}");
    }
}

#[test]
fn no_origin_passes_and_two_do_not() {
    let policy = OriginPolicy::default();
    let host = Authority::parse("localhost:8080").unwrap();
    assert_eq!(policy.check_origin(&head(&["GET / HTTP/1.1"]), &host), Ok(None));
    let twice = head(&["GET / HTTP/1.1", "Origin: http://localhost:8080", "Origin: http://localhost:8080"]);
    assert_eq!(policy.check_origin(&twice, &host).unwrap_err().status, 400);
}

#[test]
fn the_own_origin_passes_and_its_neighbors_do_not() {
    for (host, origin) in [
        ("localhost:8080", "http://localhost:8080"),
        ("localhost:8080", "https://LOCALHOST:8080"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("localhost", "http://localhost:80"),
        ("example.com", "https://example.com"),
        ("example.com:443", "https://example.com"),
        ("[::1]:80", "http://[0:0::1]"),
        ("127.0.0.1:9", "HTTP://127.0.0.1:9"),
    ] {
        assert_eq!(origin_status(&[], host, origin), 200, "{host} {origin}");
    }
    for (host, origin) in [
        ("localhost:8080", "http://localhost:3000"),
        ("localhost:8080", "http://localhost"),
        ("localhost:8080", "http://127.0.0.1:8080"),
        ("localhost:8080", "http://evil.com"),
        ("localhost:8080", "http://evil.com:8080"),
        ("localhost:8080", "http://localhost.evil.com:8080"),
        ("localhost:8080", "http://evil.localhost:8080"),
        ("localhost:8080", "ws://localhost:8080"),
        ("localhost:8080", "file://localhost:8080"),
        ("localhost", "https://localhost:80"),
        ("localhost:443", "http://localhost"),
        ("localhost:8080", "chrome-extension://abcdef"),
        ("localhost:8080", "null"),
        ("127.0.0.1:80", "http://[::ffff:127.0.0.1]:80"),
    ] {
        assert_eq!(origin_status(&[], host, origin), 403, "{host} {origin}");
    }
}

#[test]
fn malformed_origins_are_refused() {
    for origin in [
        "",
        "localhost:8080",
        "http:localhost:8080",
        "http:/localhost:8080",
        "http://localhost:8080/",
        "http://localhost:8080/x",
        "http://user@localhost:8080",
        "http://localhost:8080@evil.com",
        "http://evil.com http://localhost:8080",
        "http://localhost:8080, http://evil.com",
        "http://localhost:8080#",
        "http://localhost:8080?",
        "http://",
        "://localhost:8080",
        "//localhost:8080",
        "NULL",
        "Null",
        "null null",
        "http://localhost.:8080",
        "http://127.1:8080",
        "http://[::1",
        "http://local\u{212a}ost",
        "http://localhost\\:8080",
        "javascript:alert(1)",
        "http://localhost:08080",
        "*",
        "about:blank",
    ] {
        assert_eq!(origin_status(&["https://app.example.com"], "localhost:8080", origin), 403, "{origin:?}");
    }
}

#[test]
fn named_origins_match_exactly() {
    let allowed = [
        "https://app.example.com",
        "http://localhost:3000",
        "https://*.dev.example.com:8443",
        "null",
        "chrome-extension://abcdefgh",
    ];
    for origin in [
        "https://app.example.com",
        "https://APP.example.com:443",
        "http://localhost:3000",
        "https://a.dev.example.com:8443",
        "https://a.b.dev.example.com:8443",
        "null",
        "chrome-extension://abcdefgh",
    ] {
        assert_eq!(origin_status(&allowed, "localhost:8080", origin), 200, "{origin}");
    }
    for origin in [
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://example.com",
        "https://x.app.example.com",
        "https://app.example.com.evil.org",
        "http://localhost:3001",
        "https://localhost:3000",
        "https://dev.example.com:8443",
        "https://a.dev.example.com",
        "https://xdev.example.com:8443",
        "chrome-extension://abcdefgi",
        "moz-extension://abcdefgh",
    ] {
        assert_eq!(origin_status(&allowed, "localhost:8080", origin), 403, "{origin}");
    }
    assert_eq!(origin_status(&["https://*.example.com"], "localhost", "https://evilexample.com"), 403);
}

#[test]
fn over_tls_a_plain_page_of_the_same_name_is_foreign() {
    let policy = OriginPolicy { over_tls: true, ..OriginPolicy::default() };
    let host = Authority::parse("example.com").unwrap();
    assert!(policy.allows(&Origin::parse("https://example.com").unwrap(), &host));
    assert!(!policy.allows(&Origin::parse("http://example.com").unwrap(), &host));
}

#[test]
fn refusals_name_the_setting_and_are_safe_to_show() {
    let policy = HostPolicy::default();
    let refusal = policy.check_host(&head(&["GET / HTTP/1.1", "Host: Evil.com:80"])).unwrap_err();
    assert!(refusal.reason.contains("allow_host(\"evil.com:80\")"), "{refusal}");
    assert_eq!(refusal.label, "host");

    let long = format!("Origin: https://{}", "evil.".repeat(1000));
    let host = Authority::parse("localhost").unwrap();
    let refusal = OriginPolicy::default().check_origin(&head(&["GET / HTTP/1.1", &long]), &host).unwrap_err();
    assert!(refusal.reason.len() < 300, "{refusal}");

    let refusal = OriginPolicy::default()
        .check_origin(&head(&["GET / HTTP/1.1", "Origin: https://evil.example"]), &host)
        .unwrap_err();
    assert!(refusal.reason.contains("allow_origin(\"https://evil.example\")"), "{refusal}");
    assert_eq!((refusal.status, refusal.label), (403, "origin"));

    let bidi = head(&["GET / HTTP/1.1", "Host: \u{202e}moc.live"]);
    let refusal = policy.check_host(&bidi).unwrap_err();
    assert!(refusal.reason.contains("\\u{202e}") && !refusal.reason.contains('\u{202e}'), "{refusal}");
}
