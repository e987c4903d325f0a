//! What is a page cursor?
//!
//! Opaque to the client (all revisions, server/utilities/pagination). Inside is the key of the last item of the page, not an
//! index: items may come and go between two pages, and the walk still gives every item that stays exactly once.
//! The checksum tells garbage from a cursor of ours; it is no secret, since a forged cursor shows nothing that the
//! list would not.

use data_encoding::BASE64URL_NOPAD;

use crate::protocol::error::RpcError;

/// Longest cursor that is looked at, in bytes.
pub(crate) const MAX_CURSOR_BYTES: usize = 16 * 1024;

const VERSION: u8 = 1;

/// The cursor for the page behind the item with this key. Keys beyond 12,000 bytes give cursors that are refused.
pub(crate) fn encode_cursor(after: &str) -> String {
    let mut bytes = Vec::with_capacity(after.len() + 5);
    bytes.push(VERSION);
    bytes.extend_from_slice(&checksum(after.as_bytes()));
    bytes.extend_from_slice(after.as_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

/// The key behind which the page begins. An empty cursor means the beginning: some clients send it for the first page.
///
/// # Errors
///
/// -32602 if the cursor is not one of ours.
pub(crate) fn decode_cursor(cursor: &str) -> Result<String, RpcError> {
    if cursor.is_empty() {
        return Ok(String::new());
    }
    key_of(cursor).ok_or_else(|| RpcError::invalid_params("params.cursor is not a cursor of this server"))
}

fn key_of(cursor: &str) -> Option<String> {
    if cursor.len() > MAX_CURSOR_BYTES {
        return None;
    }
    let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
    let (&version, rest) = bytes.split_first()?;
    let (sum, key) = rest.split_first_chunk::<4>()?;
    if version != VERSION || *sum != checksum(key) {
        return None;
    }
    String::from_utf8(key.to_vec()).ok()
}

/// FNV-1a, 32 bits.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let step = |hash: u32, &byte: &u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811C_9DC5, step).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_gives_its_key_back() {
        for key in ["", "a", "search", "file:///tmp/é 語", "\u{0}\u{7f}", &"x".repeat(10_000)] {
            let cursor = encode_cursor(key);
            assert_eq!(decode_cursor(&cursor).unwrap(), key);
            assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        }
        assert_eq!(decode_cursor("").unwrap(), "");
        assert!(!encode_cursor("").is_empty());
    }

    #[test]
    fn garbage_is_refused() {
        let good = encode_cursor("tool-17");
        for bad in [
            "0",
            "10",
            "abc",
            "null",
            "é",
            "AQ",
            "AQAAAAA",
            " ",
            "====",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}A"),
            &format!("{good}="),
            &format!(" {good}"),
            &"A".repeat(100_000),
            &encode_cursor(&"x".repeat(20_000)),
        ] {
            assert_eq!(decode_cursor(bad).unwrap_err().code, -32602, "{bad}");
        }
    }

    #[test]
    fn a_changed_character_is_noticed() {
        let good = encode_cursor("resource://notes/2024");
        for at in 0..good.len() {
            for other in [b'A', b'z', b'_', b'7'] {
                let mut bytes = good.clone().into_bytes();
                if bytes[at] != other {
                    bytes[at] = other;
                    assert!(decode_cursor(std::str::from_utf8(&bytes).unwrap()).is_err());
                }
            }
        }
    }
}
