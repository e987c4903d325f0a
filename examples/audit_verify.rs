//! Verifies an audit log: finds each line that was changed, is missing, or is not in its place.
//!
//! `cargo run --example audit_verify -- --key audit.log.key --expect-head 5f0c… audit.log audit.log.0*`
//!
//! It prints `ok: N lines, head …`, or a line for each finding. Status 0: all is as it was written; 1: something is not; 2: it could not be
//! looked at.

use mcp_blocking::audit::{Expect, Report, read_key, verify_files};
use std::io::{self, Write};
use std::process::ExitCode;

const USAGE: &str = "usage: audit_verify --key FILE... [--expect-head HEX]... FILE...

  --key FILE         the key that the log was written with; several if it was changed
  --expect-head HEX  a head that was seen at some time: its line has to be there (several times)

The files of one log may be given in any order; a FILE that is a key is passed over.
";

fn main() -> ExitCode {
    let report = match options(std::env::args().skip(1)) {
        Ok(Some(options)) => look(&options),
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => Err(problem),
    };
    match report {
        Ok(report) => match print(&report) {
            Ok(()) if report.is_ok() => ExitCode::SUCCESS,
            // Who reads may have seen enough.
            _ => ExitCode::from(1),
        },
        Err(problem) => {
            eprintln!("audit_verify: {problem}");
            ExitCode::from(2)
        }
    }
}

#[derive(Default)]
struct Options {
    keys: Vec<String>,
    expect: Expect,
    files: Vec<String>,
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value (see --help)"));
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--key" => options.keys.push(value()?),
            "--expect-head" => {
                let head = value()?;
                if head.len() != 64 || !head.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(format!("--expect-head {head}: a head has 64 hexadecimal digits"));
                }
                options.expect = options.expect.head(head);
            }
            other if other.starts_with("--") => return Err(format!("unknown option {other} (see --help)")),
            _ => options.files.push(argument),
        }
    }
    // `audit.log*` is what people write, and finds the key beside the log, too.
    let is_key = |file: &String| options.keys.contains(file) || file.ends_with(".key");
    options.files.retain(|file| !is_key(file));
    match (options.keys.is_empty(), options.files.is_empty()) {
        (true, _) => Err("name the key with --key (see --help)".into()),
        (_, true) => Err("name the files of the log (see --help)".into()),
        _ => Ok(Some(options)),
    }
}

fn look(options: &Options) -> Result<Report, String> {
    let key = |file: &String| read_key(file).map_err(|error| format!("{file}: {error}"));
    let keys = options.keys.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    verify_files(&options.files, &keys, &options.expect).map_err(|error| error.to_string())
}

fn print(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    if report.more > 0 {
        writeln!(out, "and {} more", report.more)?;
    }
    if report.first > 1 {
        writeln!(out, "note: it begins with line {}: older files are not here", report.first)?;
    }
    let word = if report.is_ok() { "ok" } else { "not ok" };
    writeln!(out, "{word}: {} lines, head {}", report.lines, report.head)
}
