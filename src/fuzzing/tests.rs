//! The committed seeds, and what was found: they pass without a fuzzer, too.

use std::path::Path;

fn each_seed(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        run(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 5, "{count} seeds of {target}");
}

#[test]
fn seeds_pass() {
    each_seed("request_head", super::request_head);
    each_seed("frames", super::frames);
    each_seed("http", super::http);
    each_seed("classify", |bytes| super::classify(std::str::from_utf8(bytes).unwrap()));
    each_seed("session", super::session);
    each_seed("pieces", super::pieces);
    each_seed("forwarded", super::forwarded);
    #[cfg(feature = "tls")]
    each_seed("certificate", super::certificate);
    each_seed("arguments", super::arguments);
    each_seed("sanitizer", super::sanitizer);
    each_seed("budget", |bytes| super::budget(std::str::from_utf8(bytes).unwrap()));
    each_seed("path", |bytes| super::path(std::str::from_utf8(bytes).unwrap()));
    each_seed("token", super::token);
    #[cfg(feature = "jwt")]
    each_seed("jwt", super::jwt);
}
