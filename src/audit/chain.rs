//! What ties the lines of an audit log together? Keys that only go forward, and a MAC that covers the line before.
//!
//! A *run* is what one process writes. From the author's key, the run's random id, the number of its first line and the MAC of the line before that comes
//! the key of the run; from that the keys of its lines, as the leaves of a binary tree: each node is made from the one above it, and each line has a leaf by its number. A run
//! holds the leaf of its next line, and of the nodes only those that later lines alone are below of. So who reads the memory of the process can write lines with the numbers that are to come, in whatever
//! file, and none with a number that has been used. Whoever has the author's key can find any line's key, without reading the lines before.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Digest, Sha256};

/// A key of the chain.
pub(super) type Key = [u8; 32];
/// What a line ends with.
pub(super) type Mac = [u8; 32];
/// What tells a run from all others.
pub(super) type RunId = [u8; 16];

/// What stands before the first line of all.
pub(super) const NO_LINE: Mac = [0; 32];

/// The author's key, in the form that is used: of one length, and of no use for anything else.
#[derive(Clone)]
pub(super) struct Master(Key);

impl Master {
    pub(super) fn new(key: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"mcp-blocking audit log v2\0");
        hash.update(key);
        Self(hash.finalize().into())
    }

    /// A run. `origin` is the MAC of the line before it, `first` the number of its first line.
    pub(super) fn run(&self, id: &RunId, origin: &Mac, first: u64) -> RunKey {
        RunKey(hmac(&self.0, &[b"run\0", id, origin, &first.to_be_bytes()]))
    }
}

/// What all keys of a run are made from.
pub(super) struct RunKey(Key);

impl RunKey {
    /// The keys of its lines, from the one at that place on: 0 is its first. `None` if no run has as many.
    pub(super) fn lines(&self, place: u64) -> Option<LineKeys> {
        if place >> HEIGHT != 0 {
            return None;
        }
        let root = hmac(&self.0, &[b"lines\0"]);
        let mut keys = LineKeys { place, key: root, later: [Key::default(); HEIGHT] };
        keys.descend(HEIGHT);
        Some(keys)
    }

    /// What arguments are digested with.
    pub(super) fn digest_key(&self) -> Key {
        hmac(&self.0, &[b"digest\0"])
    }
}

/// The height of the tree of keys: 10,000 lines a second for 800 years.
const HEIGHT: usize = 48;

/// The key of a line, and what those of the later lines of its run are made from.
#[derive(Clone)]
pub(super) struct LineKeys {
    place: u64,
    key: Key,
    /// The right branches that lead off above the line, by their height. Where it is on the right itself there is none.
    later: [Key; HEIGHT],
}

impl LineKeys {
    /// The key of the line.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Goes on to the next line. From here on the key of this one is gone.
    pub(super) fn advance(&mut self) {
        self.place += 1;
        // Its path is that of the line before, up to the lowest node where that went to the left.
        let height = self.place.trailing_zeros() as usize;
        let Some(right) = self.later.get_mut(height) else { return };
        self.key = std::mem::take(right);
        self.descend(height);
    }

    /// Goes down to the line, from a node of that height whose key is here.
    fn descend(&mut self, height: usize) {
        for (height, later) in self.later.iter_mut().enumerate().take(height).rev() {
            let right = hmac(&self.key, &[b"right\0"]);
            if self.place >> height & 1 == 0 {
                (self.key, *later) = (hmac(&self.key, &[b"left\0"]), right);
            } else {
                self.key = right;
            }
        }
    }
}

/// The MAC of a line; `body` is what stands before it.
pub(super) fn mac(key: &Key, previous: &Mac, body: &[u8]) -> Mac {
    hmac(key, &[b"line\0", previous, body])
}

/// Digests arguments, so that equal ones can be recognized and none be guessed.
pub(super) fn digest(key: &Key, text: &str) -> [u8; 16] {
    let digest = hmac(key, &[text.as_bytes()]);
    let (short, _) = digest.split_at(16);
    short.try_into().unwrap_or_default()
}

/// The end of a chain that is being written. Its copies are for trying: only what has been written counts.
#[derive(Clone)]
pub(super) struct Chain {
    keys: LineKeys,
    previous: Mac,
    seq: u64,
}

impl Chain {
    /// Goes on with those keys; the next line has that number and follows a line with that MAC.
    pub(super) fn begin(keys: LineKeys, previous: Mac, seq: u64) -> Self {
        Self { keys, previous, seq }
    }

    /// The number of the next line.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// The MAC of the last line.
    pub(super) fn head(&self) -> &Mac {
        &self.previous
    }

    /// The MAC of the next line. From here on its key is gone.
    pub(super) fn seal(&mut self, body: &[u8]) -> Mac {
        self.previous = mac(self.keys.key(), &self.previous, body);
        self.keys.advance();
        self.seq += 1;
        self.previous
    }
}

/// Overwrites a key that is not needed any more, as far as safe code can: copies that were made on the way may be left.
pub(super) fn forget(key: &mut [u8]) {
    key.fill(0);
    std::hint::black_box(&*key);
}

impl Drop for Master {
    fn drop(&mut self) {
        forget(&mut self.0);
    }
}

impl Drop for RunKey {
    fn drop(&mut self) {
        forget(&mut self.0);
    }
}

impl Drop for LineKeys {
    fn drop(&mut self) {
        forget(&mut self.key);
        self.later.iter_mut().for_each(|key| forget(key));
    }
}

/// As it is written in a line.
pub(super) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// The same back.
pub(super) fn from_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    HEXLOWER.decode(text).ok()?.try_into().ok()
}

fn hmac(key: &Key, parts: &[&[u8]]) -> [u8; 32] {
    // HMAC fills a key that is shorter than a block with zeros (RFC 2104, 2); in this form it cannot fail.
    let mut block = [0; 64];
    let (start, _) = block.split_at_mut(key.len());
    start.copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_hmac_of_the_rfc() {
        // RFC 4231, test case 1, with its key of 20 bytes filled up with zeros.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex(&hmac(&key, &[b"Hi ", b"There"])), expected);
    }

    #[test]
    fn every_line_of_every_run_has_a_key_of_its_own() {
        let (run, other) = ([1; 16], [2; 16]);
        let master = Master::new(&[7; 32]);
        let mut keys = Vec::new();
        for (run, origin, first) in [(&run, NO_LINE, 1), (&other, NO_LINE, 1), (&run, [3; 32], 1), (&run, NO_LINE, 2)] {
            let run = master.run(run, &origin, first);
            keys.push(run.digest_key());
            let mut lines = run.lines(0).unwrap();
            for place in 0..70 {
                assert_eq!(lines.key(), run.lines(place).unwrap().key(), "{place}");
                keys.push(*lines.key());
                lines.advance();
            }
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn keys_go_on_from_any_place() {
        let run = Master::new(&[7; 32]).run(&[1; 16], &NO_LINE, 1);
        for place in [0xffff, 0x7fff_ffff, (1 << HEIGHT) - 2] {
            let mut lines = run.lines(place).unwrap();
            lines.advance();
            assert_eq!(lines.key(), run.lines(place + 1).unwrap().key(), "{place}");
        }
        assert!(run.lines(1 << HEIGHT).is_none() && run.lines(u64::MAX).is_none());
    }

    #[test]
    fn nothing_leads_back_to_a_line_before() {
        let run = Master::new(&[7; 32]).run(&[1; 16], &NO_LINE, 1);
        let mut lines = run.lines(0).unwrap();
        for place in 0..10_u64 {
            // What is held are the next line's leaf, and branches below which only later lines are: none but these.
            assert_eq!(lines.place, place);
            for (height, later) in lines.later.iter().enumerate() {
                let is_right = place >> height & 1 == 1;
                assert_eq!(*later == Key::default(), is_right, "{place} {height}");
                if !is_right {
                    let leaf = (place >> height | 1) << height;
                    assert!(leaf > place);
                    let mut below = LineKeys { place: leaf, key: *later, later: [Key::default(); HEIGHT] };
                    below.descend(height);
                    assert_eq!(below.key(), run.lines(leaf).unwrap().key());
                }
            }
            lines.advance();
        }
    }

    #[test]
    fn a_chain_is_what_its_keys_say() {
        let run = Master::new(&[7; 32]).run(&[1; 16], &NO_LINE, 5);
        let mut chain = Chain::begin(run.lines(0).unwrap(), NO_LINE, 5);
        let first = chain.seal(b"one");
        let second = chain.seal(b"two");
        assert_eq!(first, mac(run.lines(0).unwrap().key(), &NO_LINE, b"one"));
        assert_eq!(second, mac(run.lines(1).unwrap().key(), &first, b"two"));
        assert_eq!((chain.seq(), *chain.head()), (7, second));
    }

    #[test]
    fn digests_depend_on_the_key_and_the_text() {
        let of = |key: u8, text: &str| digest(&[key; 32], text);
        assert_eq!(of(1, "{}"), of(1, "{}"));
        assert_ne!(of(1, "{}"), of(2, "{}"));
        assert_ne!(of(1, "{}"), of(1, "{ }"));
    }
}
