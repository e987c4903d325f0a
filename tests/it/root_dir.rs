//! Files beneath a folder: whoever names them stays in it.
#![cfg(unix)]

use mcp_blocking::{PathError, RootDir};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A folder with a secret beside what may be seen; gone when dropped.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("root-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        fs::create_dir_all(base.join("in/dir")).expect("folders");
        fs::write(base.join("secret"), "outside").expect("a file");
        fs::create_dir(base.join("out")).expect("a folder");
        fs::write(base.join("out/file"), "outside").expect("a file");
        fs::write(base.join("in/dir/file"), "inside").expect("a file");
        fs::write(base.join("in/a b%.txt"), "odd").expect("a file");
        Self(base)
    }

    fn root(&self) -> RootDir {
        RootDir::new(self.0.join("in")).expect("a folder")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_within_are_read_and_nothing_else() {
    let place = Place::new("plain");
    let root = place.root();
    assert_eq!(root.read_to_string("dir/file", 6).expect("it is there"), "inside");
    assert!(matches!(root.read("dir/file", 5), Err(PathError::TooLarge { most: 5 })));
    assert!(matches!(root.open("none"), Err(PathError::Io(error)) if error.kind() == ErrorKind::NotFound));
    assert!(matches!(root.open("dir"), Err(PathError::NotAFile)));
    for path in
        ["", "/", "../secret", "dir/../../secret", "dir/..", "/etc/passwd", "./dir/file", "dir//file", "dir/\0", "~\n"]
    {
        assert!(matches!(root.open(path), Err(PathError::Name(_))), "{path:?}");
        assert!(matches!(root.resolve(path), Err(PathError::Name(_))), "{path:?}");
        assert!(matches!(root.create_new(path), Err(PathError::Name(_))), "{path:?}");
    }
    let told = root.open("../secret").expect_err("refused").to_string();
    assert!(!told.contains("secret") && !told.contains("root-"), "{told}");
    // The folder stays the same one.
    fs::rename(place.0.join("in"), place.0.join("moved")).expect("renamed");
    symlink("out", place.0.join("in")).expect("a link");
    assert_eq!(root.read_to_string("dir/file", 100).expect("it is there"), "inside");
}

#[test]
fn links_lead_nowhere_else() {
    let place = Place::new("links");
    let (root, folder) = (place.root(), place.0.join("in"));
    symlink("../secret", folder.join("up")).expect("a link");
    symlink("/etc/passwd", folder.join("absolute")).expect("a link");
    symlink("../out", folder.join("dir/out")).expect("a link");
    symlink("../../out", folder.join("dir/far")).expect("a link");
    symlink("loop", folder.join("loop")).expect("a link");
    symlink("dir/file", folder.join("inner")).expect("a link");
    symlink("../../secret", folder.join("dir/new")).expect("a link");
    for path in ["up", "absolute", "dir/far/file", "loop", "dir/new"] {
        let opened = root.open(path).map(|mut file| {
            let mut text = String::new();
            file.read_to_string(&mut text).expect("it can be read");
            text
        });
        assert!(matches!(opened, Err(PathError::Outside)), "{path}: {opened:?}");
        assert!(root.resolve(path).is_err(), "{path}");
    }
    assert!(root.open("dir/out/file").is_err());
    // A link that stays within is followed by those who can be sure of it.
    if let Ok(text) = root.read_to_string("inner", 100) {
        assert_eq!(text, "inside");
    }
    assert_eq!(root.resolve("inner").expect("within"), folder.canonicalize().expect("a folder").join("dir/file"));
    assert!(
        matches!(root.create_new("dir/new"), Err(PathError::Io(error)) if error.kind() == ErrorKind::AlreadyExists)
    );
    assert_eq!(fs::read_to_string(place.0.join("secret")).expect("a file"), "outside");
    root.create_new("dir/made").expect("created").write_all(b"made").expect("written");
    assert_eq!(root.read_to_string("dir/made", 100).expect("it is there"), "made");
    assert!(root.create_new("dir/far/made").is_err() && !place.0.join("out/made").exists());
}

#[test]
fn what_is_no_file_neither_blocks_nor_opens() {
    let place = Place::new("odd");
    rustix_fifo(&place.0.join("in/pipe"));
    let begun = Instant::now();
    assert!(place.root().open("pipe").is_err());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn rustix_fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success());
}

#[test]
fn addresses_name_files_within() {
    let place = Place::new("uri");
    let root = place.root();
    let base = root.path().to_str().expect("UTF-8").to_owned();
    assert_eq!(root.path_of_uri(&format!("file://{base}/dir/file")).expect("within"), "dir/file");
    assert_eq!(root.path_of_uri(&format!("file://localhost{base}/a%20b%25.txt")).expect("within"), "a b%.txt");
    let mut text = String::new();
    root.open_uri(&format!("file://{base}/a%20b%25.txt")).expect("opened").read_to_string(&mut text).expect("read");
    assert_eq!(text, "odd");
    assert!(root.resolve_uri(&format!("file://{base}/dir/file")).is_ok());
    for bad in [
        format!("file://{base}/../secret"),
        format!("file://{base}/%2e%2e/secret"),
        format!("file://{base}/%252e%252e/secret"),
        format!("file://{base}/dir%2f..%2f..%2fsecret"),
        format!("file://{base}/dir/%2e%2e%2f%2e%2e%2fsecret"),
        format!("file://{base}ner/file"),
        format!("file://{base}"),
        format!("file://{base}/"),
        format!("file://evil.example{base}/dir/file"),
        format!("file://{base}/dir/file?x"),
        format!("file://{base}/dir/file%00.txt"),
        "file:///etc/passwd".into(),
        "http://localhost/dir/file".into(),
        format!("file://{base}/{}", "a/".repeat(5_000)),
    ] {
        assert!(root.path_of_uri(&bad).is_err(), "{bad}");
        assert!(root.open_uri(&bad).is_err(), "{bad}");
    }
}

#[test]
fn whoever_exchanges_a_part_of_the_path_gains_nothing() {
    let place = Place::new("race");
    let (root, base) = (place.root(), place.0.clone());
    fs::create_dir(base.join("in/swap")).expect("a folder");
    fs::write(base.join("in/swap/file"), "inside").expect("a file");
    symlink("../out", base.join("in/link")).expect("a link");
    let over = AtomicBool::new(false);
    let (mut inside, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The folder and the link that leads out take each other's place.
            while !over.load(Ordering::Relaxed) {
                for (from, to) in [("swap", "kept"), ("link", "swap"), ("swap", "link"), ("kept", "swap")] {
                    fs::rename(base.join("in").join(from), base.join("in").join(to)).expect("renamed");
                }
            }
        });
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(700) {
            match root.read_to_string("swap/file", 100) {
                Ok(text) => {
                    assert_eq!(text, "inside", "it has led out");
                    inside += 1;
                }
                Err(_) => refused += 1,
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(inside > 0 && refused > 0, "{inside} were read and {refused} refused: there was no race");
}

#[test]
fn no_path_of_any_shape_leads_out() {
    let place = Place::new("shapes");
    let root = place.root();
    symlink("..", place.0.join("in/parent")).expect("a link");
    let parts = [
        "..",
        ".",
        "",
        "dir",
        "parent",
        "secret",
        "file",
        "%2e%2e",
        "..%2f",
        "\u{2024}\u{2024}",
        "．．",
        "..\\",
        "\0",
        "out",
        "/",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % end as u64).expect("small")
    };
    for _ in 0..20_000 {
        let path: Vec<_> = (0..=next(5)).map(|_| parts[next(parts.len())]).collect();
        let path = path.join("/");
        if let Ok(text) = root.read_to_string(&path, 100) {
            assert_eq!(text, "inside", "{path:?} leads out");
        }
        if let Ok(found) = root.resolve(&path) {
            assert!(found.starts_with(root.path()), "{path:?} leads to {found:?}");
        }
        let uri = format!("file://{}/{path}", root.path().display());
        if let Ok(mut file) = root.open_uri(&uri) {
            let mut text = String::new();
            file.read_to_string(&mut text).expect("it can be read");
            assert_eq!(text, "inside", "{uri:?} leads out");
        }
    }
}
