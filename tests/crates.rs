//! How many crates does a build link? Pinned for each set of features, so that nobody adds one unseen.

use std::collections::BTreeSet;
use std::process::Command;

/// What the README calls a set of features, how it is asked for, and how many crates it links, procedural macros and
/// this one included.
const SETS: [(&str, &[&str], usize); 5] = [
    ("crates linked without features", &["--no-default-features"], 58),
    ("… with `validation`, the default", &[], 100),
    ("… with `tls`", &["--no-default-features", "--features", "tls"], 67),
    ("… with `jwt`, which brings `tls`", &["--no-default-features", "--features", "jwt"], 68),
    ("… with all of them", &["--all-features"], 109),
];

#[test]
fn each_set_of_features_links_as_many_crates_as_the_readme_says() {
    let readme = include_str!("../README.md");
    for (name, features, count) in SETS {
        assert_eq!(linked(features), count, "{name}: if that is meant, say so here and in the README");
        let row = readme.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap_or_default();
        let said = row.split('|').nth(2).and_then(|cell| cell.split([',', ' ']).find(|word| !word.is_empty()));
        assert_eq!(said, Some(&*count.to_string()), "the README's row: {row}");
    }
}

/// The crates that such a build links on this machine.
fn linked(features: &[&str]) -> usize {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names of crates");
    text.lines()
        .filter_map(|line| line.split(" (").next())
        .filter(|line| !line.is_empty())
        .collect::<BTreeSet<_>>()
        .len()
}
