//! What does text with `%` escapes say? (RFC 3986, 2.1)

/// The text, if all that is not escaped is allowed, all escapes are whole, and what comes out is UTF-8.
pub(crate) fn decode(text: &str, allowed: impl Fn(u8) -> bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            byte if allowed(byte) => bytes.push(byte),
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_whole_and_make_text() {
        let any = |text| decode(text, |_| true);
        assert_eq!(any("a%20b%c3%A4ä").as_deref(), Some("a bää"));
        assert_eq!(any(""), Some(String::new()));
        for wrong in ["%", "%2", "%zz", "%+1", "%ff", "a%"] {
            assert_eq!(any(wrong), None, "{wrong}");
        }
        assert_eq!(decode("a/b", |byte| byte != b'/'), None);
        assert_eq!(decode("a%2Fb", |byte| byte != b'/').as_deref(), Some("a/b"));
    }
}
