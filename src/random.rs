//! Random bytes of the system, and names made of them that nobody can guess.

use data_encoding::BASE64URL_NOPAD;

/// So many random bytes.
///
/// # Errors
/// The system gives none.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// So many random bytes as text, in base64url without padding.
///
/// # Errors
/// The system gives none.
pub(crate) fn text<const N: usize>() -> Result<String, getrandom::Error> {
    bytes::<N>().map(|bytes| BASE64URL_NOPAD.encode(&bytes))
}
