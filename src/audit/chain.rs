//! What ties the lines of an audit log together? Keys that only go forward, and a MAC that covers the line before.
//!
//! A *run* is what one process writes, a *part* what it writes into one file. From the author's key, the run's random id and the MAC of the line
//! before it comes the key of its first part, from that the key of the next part, and so on; from a part's key come the keys of its lines, each made
//! from the one before it. A key is gone as soon as the next one is made: who reads the memory of the process can go on from there, and cannot
//! go back. Whoever has the author's key can find any line's key by way of its part, without reading the parts before.

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
        hash.update(b"mcp-blocking audit log v1\0");
        hash.update(key);
        Self(hash.finalize().into())
    }

    /// A part of a run. `origin` is the MAC of the line before the run.
    pub(super) fn part(&self, run: &RunId, origin: &Mac, number: u64) -> Part {
        let mut part = Part(hmac(&self.0, &[b"run\0", run, origin]));
        for _ in 0..number {
            part = part.next();
        }
        part
    }
}

/// What the keys of one part are made from.
#[derive(Clone)]
pub(super) struct Part(Key);

impl Part {
    /// The part after this one.
    pub(super) fn next(&self) -> Self {
        Self(hmac(&self.0, &[b"part\0"]))
    }

    /// The key of its first line.
    pub(super) fn first_key(&self) -> Key {
        hmac(&self.0, &[b"lines\0"])
    }

    /// What arguments are digested with, for the whole run; of its first part.
    pub(super) fn digest_key(&self) -> Key {
        hmac(&self.0, &[b"digest\0"])
    }
}

/// The key of the line after the one with this key.
pub(super) fn next_key(key: &Key) -> Key {
    hmac(key, &[b"next\0"])
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
    /// What the next part will be made from: that of this part is gone.
    next_part: Part,
    key: Key,
    previous: Mac,
    seq: u64,
}

impl Chain {
    /// Begins with a part; the next line has that number and follows a line with that MAC.
    pub(super) fn begin(part: &Part, previous: Mac, seq: u64) -> Self {
        Self { next_part: part.next(), key: part.first_key(), previous, seq }
    }

    /// Goes on with the next part.
    pub(super) fn next_part(&mut self) {
        *self = Self::begin(&self.next_part, self.previous, self.seq);
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
        self.previous = mac(&self.key, &self.previous, body);
        self.key = next_key(&self.key);
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

impl Drop for Chain {
    fn drop(&mut self) {
        forget(&mut self.key);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        forget(&mut self.0);
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
    fn every_part_and_line_has_a_key_of_its_own() {
        let (run, other) = ([1; 16], [2; 16]);
        let master = Master::new(&[7; 32]);
        let mut keys = Vec::new();
        for (run, origin) in [(&run, NO_LINE), (&other, NO_LINE), (&run, [3; 32])] {
            for number in 0..3 {
                let part = master.part(run, &origin, number);
                let first = part.first_key();
                keys.extend([first, next_key(&first), part.digest_key()]);
            }
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
        assert_eq!(master.part(&run, &NO_LINE, 2).0, master.part(&run, &NO_LINE, 1).next().0);
    }

    #[test]
    fn a_chain_is_what_its_keys_say() {
        let part = Master::new(&[7; 32]).part(&[1; 16], &NO_LINE, 0);
        let mut chain = Chain::begin(&part, NO_LINE, 5);
        let first = chain.seal(b"one");
        let second = chain.seal(b"two");
        assert_eq!(first, mac(&part.first_key(), &NO_LINE, b"one"));
        assert_eq!(second, mac(&next_key(&part.first_key()), &first, b"two"));
        chain.next_part();
        let third = chain.seal(b"three");
        assert_eq!(third, mac(&part.next().first_key(), &second, b"three"));
        assert_eq!((chain.seq(), *chain.head()), (8, third));
    }

    #[test]
    fn digests_depend_on_the_key_and_the_text() {
        let of = |key: u8, text: &str| digest(&[key; 32], text);
        assert_eq!(of(1, "{}"), of(1, "{}"));
        assert_ne!(of(1, "{}"), of(2, "{}"));
        assert_ne!(of(1, "{}"), of(1, "{ }"));
    }
}
