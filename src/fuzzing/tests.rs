//! The committed seeds, and what was found: they pass without a fuzzer, too.

use std::path::Path;

/// The seeds of a target; none in a packaged crate, which `fuzz/` is left out of (`exclude` in Cargo.toml).
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        return Vec::new();
    }
    let entries = std::fs::read_dir(fuzz.join("seeds").join(target)).unwrap();
    let seeds: Vec<_> = entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(seeds.len() >= 5, "{} seeds of {target}", seeds.len());
    seeds
}

fn each_seed(target: &str, run: impl Fn(&[u8])) {
    seeds(target).iter().for_each(|seed| run(seed));
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

/// A few turns of the fuzzer's wheel for what needs no session: seeds, changed a little and put together.
#[test]
fn changed_seeds_pass() {
    const ROUNDS: usize = 20_000;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(end.max(1)).unwrap()).unwrap()
    };
    let pieces = [
        "\u{1b}",
        "[",
        "]0;",
        "\u{7}",
        "\u{9b}",
        "\u{9d}",
        "\u{9c}",
        "\\",
        "\u{2066}",
        "\u{2069}",
        "\u{202e}",
        "\n",
        "\t",
        "\u{200d}",
        "\u{200b}",
        "\u{fe0f}",
        "\u{e0041}",
        "\u{1f3f4}",
        "\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        "a",
        "1",
        "\u{feff}",
        "\u{ad}",
        "ក",
        "語",
        "\u{e0100}",
        "password=",
        "\"",
        "{",
        "}",
        ",",
        ":",
        "%2e",
        "/",
        "..",
        "\\u202e",
        "1e9",
        "null",
    ];
    for (target, run) in [
        ("sanitizer", super::sanitizer as fn(&[u8])),
        ("budget", |bytes| super::budget(&String::from_utf8_lossy(bytes))),
        ("path", |bytes| super::path(&String::from_utf8_lossy(bytes))),
    ] {
        let seeds = seeds(target);
        for _ in 0..if seeds.is_empty() { 0 } else { ROUNDS } {
            let mut bytes = seeds[below(seeds.len())].clone();
            for _ in 0..=below(6) {
                let at = below(bytes.len() + 1);
                match below(4) {
                    0 if at < bytes.len() => bytes[at] ^= 1 << below(8),
                    1 => bytes.truncate(at.max(1)),
                    _ => drop(bytes.splice(at..at, pieces[below(pieces.len())].bytes())),
                }
            }
            run(&bytes);
        }
    }
}
