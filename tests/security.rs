//! SECURITY.md promises, and names what shows it: are those tests there, do links lead somewhere, are the times those of the code?

use std::fs;
use std::path::Path;

const SECURITY: &str = include_str!("../SECURITY.md");
const LIMITS: &str = include_str!("../src/limits.rs");

fn read(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// Whether that is left out of the packaged crate (`exclude` in Cargo.toml), and this is such a crate: then it cannot be looked at.
fn left_out(path: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    [".ci/", "scripts/", "fuzz/"].iter().any(|folder| path.starts_with(folder) && !root.join(folder).exists())
}

/// The section below that heading, up to the next one.
fn section(heading: &str) -> &'static str {
    let (_, rest) = SECURITY.split_once(&format!("\n## {heading}\n")).expect(heading);
    rest.split("\n## ").next().unwrap_or(rest)
}

/// The cells of each row of the tables in a text, without heads.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = text.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    rows.filter(|line| line.starts_with("| ")).map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

/// The links of a text in Markdown: what is shown, and where it leads.
fn links(text: &str) -> Vec<(&str, &str)> {
    let found = text.match_indices("](").filter_map(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + 2..]);
        let shown = before.rsplit('[').next()?;
        let target = behind.split(')').next()?;
        Some((shown.trim_matches('`'), target))
    });
    found.collect()
}

#[test]
fn each_promise_names_tests_that_are_there() {
    let mut promises = 0;
    for row in rows(section("Promises")).filter(|row| !row[0].starts_with("**")) {
        let [promise, .., attack, honest] = row[..] else { panic!("{row:?}") };
        assert_eq!(row.len(), 6, "{promise}");
        promises += 1;
        assert!(!links(attack).is_empty(), "{promise}: no attack");
        assert!(
            honest == "the same" || honest.contains("the same,") || !links(honest).is_empty(),
            "{promise}: {honest}"
        );
        for (name, file) in links(attack).into_iter().chain(links(honest)).filter(|(_, file)| !left_out(file)) {
            let text = read(file).unwrap_or_else(|| panic!("{promise}: there is no {file}"));
            if file.ends_with(".rs") {
                let is_test = text
                    .split("#[test]")
                    .skip(1)
                    .any(|test| test.split_once("fn ").is_some_and(|(_, rest)| rest.split('(').next() == Some(name)));
                assert!(is_test, "{promise}: there is no test {name} in {file}");
            }
        }
    }
    assert!(promises > 50, "{promises} promises were read");
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut followed = 0;
    for document in ["README.md", "SECURITY.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        let text = read(document).expect(document);
        // What is code is no link.
        let prose: String = text.split("```").step_by(2).collect();
        for (shown, target) in links(&prose) {
            if target.contains("://") || left_out(target) {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { document } else { path };
            assert!(
                Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(),
                "{document}: [{shown}] leads to {path}, which is not there"
            );
            if !anchor.is_empty() && path.ends_with(".md") {
                let there = read(path).expect(path);
                let mut headings = there.lines().filter(|line| line.starts_with('#')).map(slug);
                assert!(headings.any(|slug| slug == anchor), "{document}: {path} has no heading #{anchor}");
            }
            followed += 1;
        }
    }
    assert!(followed > 50, "{followed} links were followed");
}

/// The anchor of a heading.
fn slug(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = plain.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn the_table_of_times_is_that_of_the_limits() {
    let said: Vec<_> = rows(section("Time-outs")).map(|row| (row[0].trim_matches('`'), row[1])).collect();
    let (_, defaults) = LIMITS.split_once("impl Default for Limits").expect("defaults");
    let fields = LIMITS.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.strip_suffix(": Duration,"));
    let mut times = 0;
    for field in fields {
        let (_, value) = defaults.split_once(&format!("{field}: Duration::from_secs(")).expect(field);
        let factors = value.split(')').next().unwrap_or_default().split('*');
        let seconds: u64 = factors.map(|factor| factor.trim().replace('_', "").parse::<u64>().expect(field)).product();
        let default = said.iter().find(|(name, _)| *name == field).map(|(_, default)| *default);
        assert_eq!(default.and_then(seconds_of), Some(seconds), "{field} is {default:?} in the table of time-outs");
        times += 1;
    }
    assert!(times > 15, "{times} times were read");
}

/// `10 s`, `30 min`, `24 h` or `7 days` in seconds.
fn seconds_of(text: &str) -> Option<u64> {
    let (number, unit) = text.split_once(' ')?;
    let factor = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3_600,
        "days" => 24 * 3_600,
        _ => return None,
    };
    Some(number.parse::<u64>().ok()? * factor)
}
