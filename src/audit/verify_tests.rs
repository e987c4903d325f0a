//! A log of a few runs and files, and everything that can be done to it.

use super::chain::{Chain, LineKeys, Mac, Master, NO_LINE, RunId, from_hex};
use super::event::Event;
use super::report::{Finding, FindingKind, Report};
use super::verify::{Expect, verify};

const KEY: [u8; 32] = [7; 32];

/// Files of lines; without their line breaks.
type Log = Vec<Vec<Vec<u8>>>;

/// Two runs: the first over three files, the second begins in the third. 20 lines.
fn log() -> Log {
    let mut files: Log = vec![Vec::new()];
    let (mut previous, mut seq) = (NO_LINE, 0);
    for run in [[1; 16], [2; 16]] {
        let origin = previous;
        let first = seq + 1;
        let mut chain = begin(&run, origin, first);
        let write = |chain: &mut Chain, files: &mut Log, event: Event| {
            let mut line = Vec::new();
            event.write(&mut line, chain);
            line.pop();
            files.last_mut().expect("a file").push(line);
        };
        write(&mut chain, &mut files, start(&run, &origin, 0));
        for number in 1..=8 {
            if run == [1; 16] && (number == 4 || number == 7) {
                files.push(Vec::new());
                let head = *chain.head();
                let event = file(&run, first, &origin, &head);
                write(&mut chain, &mut files, event);
            }
            write(&mut chain, &mut files, Event::new("call", |event| event.number("n", number)));
        }
        write(&mut chain, &mut files, Event::new("stop", |_| {}));
        (previous, seq) = (*chain.head(), chain.seq() - 1);
    }
    files
}

fn begin(run: &RunId, origin: Mac, first: u64) -> Chain {
    Chain::begin(keys(run, &origin, first), origin, first)
}

fn keys(run: &RunId, origin: &Mac, first: u64) -> LineKeys {
    Master::new(&KEY).run(run, origin, first).lines(0).expect("keys")
}

fn file(run: &RunId, first: u64, origin: &Mac, previous: &Mac) -> Event {
    Event::new("file", |event| {
        event.hex("run", run);
        event.number("first", first);
        event.hex("origin", origin);
        event.hex("prev", previous);
    })
}

fn start(run: &RunId, origin: &[u8; 32], torn: u64) -> Event {
    Event::new("start", |event| {
        event.hex("run", run);
        event.hex("prev", origin);
        if torn > 0 {
            event.number("torn", torn);
        }
    })
}

fn bytes(file: &[Vec<u8>]) -> Vec<u8> {
    file.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
}

fn read(files: &[Vec<u8>], keys: &[Vec<u8>], expect: &Expect) -> Report {
    let named = files.iter().enumerate().map(|(number, bytes)| (format!("f{number}"), bytes.as_slice()));
    verify(named, keys, expect).expect("memory can be read")
}

fn look(log: &Log) -> Report {
    read(&log.iter().map(|file| bytes(file)).collect::<Vec<_>>(), &[KEY.to_vec()], &Expect::nothing())
}

/// All places in the log.
fn places(log: &Log) -> Vec<(usize, usize)> {
    log.iter().enumerate().flat_map(|(file, lines)| (0..lines.len()).map(move |line| (file, line))).collect()
}

fn kinds(report: &Report) -> Vec<FindingKind> {
    report.findings.iter().map(|finding| finding.kind).collect()
}

fn head(line: &[u8]) -> String {
    String::from_utf8(line[line.len() - 66..line.len() - 2].to_vec()).expect("hexadecimal")
}

/// What was found at that line of that file.
fn at(report: &Report, (file, line): (usize, usize)) -> Vec<&Finding> {
    let name = format!("f{file}");
    report.findings.iter().filter(|finding| finding.file == name && finding.line == line as u64 + 1).collect()
}

#[test]
fn a_log_as_it_was_written_is_sound() {
    let log = log();
    assert_eq!(log.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 14]);
    let report = look(&log);
    assert!(report.is_ok() && report.notes.is_empty(), "{report:?}");
    assert_eq!((report.lines, report.runs, report.first, report.last), (22, 2, 1, 22));
    let last = log[2].last().expect("lines");
    assert_eq!(report.head, head(last));
    for file in &log {
        for line in file {
            let report = read(
                &log.iter().map(|file| bytes(file)).collect::<Vec<_>>(),
                &[vec![1; 32], KEY.to_vec()],
                &Expect::nothing().head(head(line).to_uppercase()),
            );
            assert!(report.is_ok(), "{report:?}");
        }
    }
}

#[test]
fn one_can_begin_with_any_file() {
    let log = log();
    for from in 0..log.len() {
        let report = look(&log[from..].to_vec());
        assert!(report.is_ok(), "{report:?}");
        assert_eq!(report.first, [1, 5, 9][from]);
    }
}

#[test]
fn every_flipped_byte_is_found_where_it_is() {
    let log = log();
    for (file, line) in places(&log) {
        let is_begin = (file, line) == (0, 0) || (file, line) == (2, 4);
        // All places over the lines together: each is a thousand MACs.
        for at_byte in (line % 5..log[file][line].len()).step_by(5) {
            let bit = 1 << (at_byte % 7);
            let mut changed = log.clone();
            changed[file][line][at_byte] ^= bit;
            if changed[file][line][at_byte] == b'\n' {
                continue;
            }
            let report = look(&changed);
            let what = || format!("{file} {line} {at_byte} {bit}: {report:#?}");
            assert!(!report.is_ok(), "{}", what());
            if is_begin {
                // Without the first line of a run, what follows it may not be judged.
                assert!(report.findings.iter().any(|found| found.file == format!("f{file}")), "{}", what());
            } else {
                assert_eq!(at(&report, (file, line)).len(), 1, "{}", what());
                assert!(report.findings.len() <= 2, "{}", what());
                // With another number, the last one may be an older line that was put there.
                let is_last = (file, line) == (2, 13);
                assert!(is_last || kinds(&report).contains(&FindingKind::Changed), "{}", what());
            }
        }
    }
}

#[test]
fn a_line_with_another_mac_is_one_finding() {
    let log = log();
    for (file, line) in places(&log) {
        let mut changed = log.clone();
        let place = changed[file][line].len() - 10;
        changed[file][line][place] = if changed[file][line][place] == b'0' { b'1' } else { b'0' };
        let report = look(&changed);
        // The first line of all is the only one that what follows cannot do without.
        if (file, line) != (0, 0) && (file, line) != (2, 4) {
            assert_eq!(kinds(&report), [FindingKind::Changed], "{file} {line}: {report:#?}");
            assert_eq!(at(&report, (file, line)).len(), 1, "{report:#?}");
        }
        assert!(!report.is_ok());
    }
}

#[test]
fn every_line_that_is_taken_away_is_missed() {
    let log = log();
    for (file, line) in places(&log) {
        let is_last = (file, line) == (2, 13);
        let mut cut = log.clone();
        let gone = cut[file].remove(line);
        let report = look(&cut);
        if is_last {
            assert!(report.is_ok());
            let files: Vec<_> = cut.iter().map(|file| bytes(file)).collect();
            let report = read(&files, &[KEY.to_vec()], &Expect::nothing().head(head(&gone)));
            assert_eq!(kinds(&report), [FindingKind::Cut], "{report:#?}");
        } else if (file, line) != (0, 0) && (file, line) != (2, 4) {
            assert_eq!(kinds(&report), [FindingKind::Missing], "{file} {line}: {report:#?}");
            let seq = places(&log).iter().position(|place| *place == (file, line)).expect("a place") + 1;
            assert!(report.findings[0].detail.contains(&format!("line {seq} ")), "{report:#?}");
        } else {
            assert!(!report.is_ok(), "{report:#?}");
        }
    }
}

#[test]
fn every_two_lines_that_changed_places_are_found() {
    let log = log();
    for file in 0..log.len() {
        for line in 0..log[file].len() - 1 {
            let mut swapped = log.clone();
            swapped[file].swap(line, line + 1);
            let report = look(&swapped);
            let begins = |line: usize| line == 0 || (file, line) == (2, 4);
            if begins(line) || begins(line + 1) {
                assert!(!report.is_ok(), "{file} {line}: {report:#?}");
            } else {
                assert_eq!(kinds(&report), [FindingKind::Reordered], "{file} {line}: {report:#?}");
            }
        }
    }
}

#[test]
fn a_line_that_was_moved_far_or_is_there_twice_is_found() {
    let log = log();
    let mut moved = log.clone();
    let line = moved[2].remove(5);
    moved[2].insert(11, line.clone());
    assert_eq!(kinds(&look(&moved)), [FindingKind::Reordered], "{:#?}", look(&moved));
    let line = moved[2].remove(11);
    moved[2].insert(2, line.clone());
    assert!(!look(&moved).is_ok());
    let mut twice = log.clone();
    twice[2].insert(11, line);
    assert_eq!(kinds(&look(&twice)), [FindingKind::Inserted], "{:#?}", look(&twice));
    // A whole file.
    let mut twice = log.clone();
    twice.insert(1, log[0].clone());
    assert!(!look(&twice).is_ok());
    twice.insert(3, log[1].clone());
    assert!(!look(&twice).is_ok());
    let mut twice = log.clone();
    twice.insert(2, log[1].clone());
    let report = look(&twice);
    assert_eq!(kinds(&report), [FindingKind::Inserted; 4], "{report:#?}");
    let mut swapped = log.clone();
    swapped.swap(0, 1);
    assert!(!look(&swapped).is_ok());
}

#[test]
fn a_line_of_somebody_elses_making_is_found() {
    let log = log();
    for (file, line) in places(&log) {
        for forged in [
            b"garbage".to_vec(),
            Vec::new(),
            format!("{{\"seq\":{},\"time\":\"\",\"event\":\"call\",\"mac\":\"{}\"}}", u64::MAX / 3, "0".repeat(64))
                .into_bytes(),
            vec![b'x'; 300_000],
        ] {
            let mut with = log.clone();
            with[file].insert(line, forged);
            let report = look(&with);
            assert_eq!(at(&report, (file, line)).len(), 1, "{file} {line}: {report:#?}");
            assert_eq!(report.findings.len(), 1, "{file} {line}: {report:#?}");
        }
    }
}

#[test]
fn a_file_that_is_gone_is_missed_and_an_end_only_with_a_head() {
    let log = log();
    let middle = vec![log[0].clone(), log[2].clone()];
    let report = look(&middle);
    assert_eq!(kinds(&report), [FindingKind::Missing], "{report:#?}");
    assert!(report.findings[0].detail.contains("lines 5 to 8"), "{report:#?}");
    let start = log[..2].to_vec();
    assert!(look(&start).is_ok());
    let files: Vec<_> = start.iter().map(|file| bytes(file)).collect();
    let report = read(&files, &[KEY.to_vec()], &Expect::nothing().head(head(&log[2][13])));
    assert_eq!(kinds(&report), [FindingKind::Cut], "{report:#?}");
}

#[test]
fn without_the_key_nothing_can_be_said() {
    let report = read(&[bytes(&log()[0])], &[vec![8; 32]], &Expect::nothing());
    assert_eq!(kinds(&report), [FindingKind::Unknown, FindingKind::Unknown], "{report:#?}");
    assert_eq!(report.lines, 0);
    assert!(!read(&[Vec::new()], &[KEY.to_vec()], &Expect::nothing()).is_ok());
}

#[test]
fn a_run_that_ended_without_a_word_is_worth_a_note_and_a_new_log_is_a_finding() {
    let mut log = log();
    // Before the second run begins.
    log[2].truncate(3);
    let (run, seq) = ([3; 16], 12);
    let previous: [u8; 32] = mac_of(&log[2][2]);
    let mut chain = begin(&run, previous, seq);
    let mut line = Vec::new();
    start(&run, &previous, 0).write(&mut line, &mut chain);
    line.pop();
    log[2].push(line);
    let report = look(&log);
    assert!(report.is_ok(), "{report:#?}");
    assert_eq!(report.notes.iter().map(|note| note.kind).collect::<Vec<_>>(), [FindingKind::Unfinished]);
    let mut chain = begin(&run, NO_LINE, 1);
    let mut line = Vec::new();
    start(&run, &NO_LINE, 0).write(&mut line, &mut chain);
    line.pop();
    log[2].push(line);
    assert_eq!(kinds(&look(&log)), [FindingKind::Cut]);
}

#[test]
fn a_torn_line_is_what_the_line_behind_it_says_and_not_a_byte_more() {
    for (rest, ended) in [("{\"seq\":12,\"ti", false), ("{\"seq\":12,\"ti", true), ("one\ntwo", false)] {
        for lie in [0, 1] {
            let mut log = log();
            log[2].truncate(3);
            let previous: [u8; 32] = mac_of(&log[2][2]);
            let run = [3; 16];
            let mut chain = begin(&run, previous, 12);
            let torn = rest.len() as u64 + u64::from(ended);
            let mut line = Vec::new();
            start(&run, &previous, torn + 5 * lie).write(&mut line, &mut chain);
            line.pop();
            log[2].extend(rest.split('\n').map(|line| line.as_bytes().to_vec()));
            log[2].push(line);
            let report = look(&log);
            assert_eq!(report.is_ok(), lie == 0, "{report:#?}");
            let torn = report.notes.iter().filter(|note| note.kind == FindingKind::Torn).count();
            assert_eq!(torn, usize::from(lie == 0), "{report:#?}");
        }
    }
    let mut files: Vec<_> = log().iter().map(|file| bytes(file)).collect();
    let length = files[2].len();
    files[2].truncate(length - 20);
    let report = read(&files, &[KEY.to_vec()], &Expect::nothing());
    assert_eq!(kinds(&report), [FindingKind::Torn], "{report:#?}");
    files[2].truncate(length - 1);
    assert_eq!(kinds(&read(&files, &[KEY.to_vec()], &Expect::nothing())), [FindingKind::Torn]);
}

/// A log whose process is taken over behind a line of its second run, and what it holds in that moment: the keys of the lines from there on.
fn taken_over(log: &Log) -> (Log, LineKeys, u64) {
    let mut log = log.clone();
    log[2].truncate(9);
    let mut keys = keys(&[2; 16], &mac_of(&log[2][3]), 13);
    (13..18).for_each(|_| keys.advance());
    (log, keys, 18)
}

fn mac_of(line: &[u8]) -> Mac {
    from_hex(head(line).as_bytes()).expect("a MAC")
}

/// Lines behind the first `keep` of a log: one that begins a file, as its words say, and another, with keys that an attacker has.
fn go_on(log: &Log, keep: usize, seq: u64, file: &Event, mut keys: LineKeys) -> Log {
    let mut forged: Log = vec![log.iter().flatten().take(keep).cloned().collect(), Vec::new()];
    let mut previous = forged[0].last().map_or(NO_LINE, |line| mac_of(line));
    for (seq, event) in (seq..).zip([file, &Event::new("call", |event| event.number("n", 1))]) {
        let mut chain = Chain::begin(keys.clone(), previous, seq);
        let mut line = Vec::new();
        previous = event.write(&mut line, &mut chain);
        line.pop();
        forged[1].push(line);
        keys.advance();
    }
    forged
}

#[test]
fn who_takes_the_process_over_cannot_cut_out_lines_and_go_on_in_a_new_file() {
    let (log, held, next) = taken_over(&log());
    assert!(look(&log).is_ok());
    let (run, origin, first) = ([2; 16], mac_of(&log[2][3]), 13);
    let count = log.iter().map(Vec::len).sum::<usize>();
    assert_eq!(count as u64, next - 1);
    for keep in 1..count {
        let before = mac_of(log.iter().flatten().nth(keep - 1).expect("a line"));
        let seq = keep as u64 + 1;
        // The numbers go on without a gap, whichever of the keys that are left is taken, and whatever is said of the run.
        let mut keys = held.clone();
        for ahead in 0..5 {
            let fitting = seq.saturating_sub(next - first + ahead);
            for (run, first, origin) in [
                (run, first, origin),
                (run, fitting, origin),
                (run, seq, before),
                ([1; 16], 1, NO_LINE),
                ([1; 16], fitting, NO_LINE),
            ] {
                let forged = go_on(&log, keep, seq, &file(&run, first, &origin, &before), keys.clone());
                let report = look(&forged);
                assert!(!report.is_ok(), "{keep} {ahead} {first}: {report:#?}");
                assert_eq!(report.last, seq - 1, "{keep} {ahead} {first}: {report:#?}");
            }
            keys.advance();
        }
        // Those that there are keys for do not follow.
        let forged = go_on(&log, keep, next, &file(&run, first, &origin, &before), held.clone());
        assert_eq!(kinds(&look(&forged)), [FindingKind::Missing], "{keep}: {:#?}", look(&forged));
    }
    // What nobody can keep it from: to go on where the log is whole.
    let before = mac_of(&log[2][8]);
    let forged = go_on(&log, count, next, &file(&run, first, &origin, &before), held);
    assert!(look(&forged).is_ok(), "{:#?}", look(&forged));
}

#[test]
fn a_file_goes_on_with_the_run_of_the_line_before_it() {
    let log = log();
    // Of two copies of a log that went different ways, say of a backup.
    let (run, origin) = ([3; 16], mac_of(&log[2][3]));
    let mut keys = keys(&run, &origin, 13);
    (13..18).for_each(|_| keys.advance());
    let words = file(&run, 13, &origin, &mac_of(&log[2][8]));
    let report = look(&go_on(&log, 17, 18, &words, keys));
    assert_eq!(kinds(&report), [FindingKind::Inserted], "{report:#?}");
    // A run that has ended does not go on.
    let mut keys = self::keys(&[1; 16], &NO_LINE, 1);
    (1..13).for_each(|_| keys.advance());
    let words = file(&[1; 16], 1, &NO_LINE, &origin);
    let report = look(&go_on(&log, 12, 13, &words, keys));
    assert_eq!(kinds(&report), [FindingKind::Inserted], "{report:#?}");
}

#[test]
fn nothing_that_is_done_at_random_goes_unnoticed() {
    let log = log();
    let whole: Vec<u8> = log.iter().flat_map(|file| bytes(file)).collect();
    let last = head(&log[2][13]);
    // A linear congruential generator will do.
    let mut state = 1_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=random(4) {
            let (at, length) = (random(bytes.len()), random(600));
            let end = (at + length).min(bytes.len());
            match random(5) {
                0 => bytes[at] ^= 1 << random(8),
                1 => drop(bytes.drain(at..end)),
                2 => bytes[at..end].reverse(),
                3 => {
                    let piece = bytes[at..end].to_vec();
                    let to = random(bytes.len());
                    bytes.splice(to..to, piece);
                }
                _ => bytes.truncate(at.max(1)),
            }
        }
        if bytes == whole {
            continue;
        }
        let report = read(&[bytes], &[KEY.to_vec()], &Expect::nothing().head(last.clone()));
        assert!(!report.is_ok(), "round {round}");
        assert!(report.findings.iter().all(|finding| !finding.to_string().contains('\n')));
    }
}
