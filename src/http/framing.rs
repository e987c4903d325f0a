//! How long is the body that follows a head?
//!
//! Request smuggling lives from two readers that disagree about this. So everything that
//! RFC 9112, 6.3 lets a recipient repair is refused here instead, and
//! [`HeadReader`](super::HeadReader) asks before it hands out a head: a [`Head`] with
//! contradicting framing does not exist.

use super::head::{Head, HeadError, HeadErrorKind, is_token, trim_blanks};

/// The body that a head announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// Neither `Content-Length` nor `Transfer-Encoding`: no body (RFC 9112, 6.3, item 7).
    None,
    /// Exactly this many bytes; may be 0.
    Length(u64),
    /// `Transfer-Encoding: chunked` and nothing else.
    Chunked,
}

impl BodyLength {
    /// Whether no byte of a body follows the head.
    #[must_use]
    pub(crate) const fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

impl Head {
    /// The announced body.
    ///
    /// # Errors
    ///
    /// 400 for both fields at once (RFC 9112, 6.1: "ought to be handled as an error"), a
    /// repeated or odd one; 501 for a transfer coding other than `chunked`.
    pub(crate) fn body(&self) -> Result<BodyLength, HeadError> {
        let length = self.content_length()?;
        let chunked = self.is_chunked()?;
        match (length, chunked) {
            (Some(_), true) => Err(HeadError::bad("send Content-Length or Transfer-Encoding, not both")),
            (None, true) => Ok(BodyLength::Chunked),
            (Some(length), false) => Ok(BodyLength::Length(length)),
            (None, false) => Ok(BodyLength::None),
        }
    }

    /// The value of `Content-Length`.
    ///
    /// # Errors
    ///
    /// 400 if the field occurs twice, is a list (`5, 5`), or is anything but 1 to 19 digits.
    /// RFC 9112, 6.3, item 5 allows equal duplicates to be merged; honest clients send none.
    pub(crate) fn content_length(&self) -> Result<Option<u64>, HeadError> {
        const ODD: HeadError = HeadError::bad("send one Content-Length of 1 to 19 digits");
        let mut values = self.values("content-length");
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() || !(1..=19).contains(&value.len()) || !value.iter().all(u8::is_ascii_digit) {
            return Err(ODD);
        }
        let text = std::str::from_utf8(value).map_err(|_| ODD)?;
        text.parse().map(Some).map_err(|_| ODD)
    }

    fn is_chunked(&self) -> Result<bool, HeadError> {
        let mut values = self.values("transfer-encoding");
        let Some(value) = values.next() else {
            return Ok(false);
        };
        if values.next().is_some() {
            return Err(HeadError::bad("send Transfer-Encoding at most once"));
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            return Ok(true);
        }
        // RFC 9112, 6.1: "A server that receives a request message with a transfer coding it
        // does not understand SHOULD respond with 501." Only for what is a coding at all,
        // and not for a list that hides a `chunked`.
        let mut codings = value.split(|&byte| byte == b',').map(trim_blanks);
        if codings.all(|coding| is_token(coding) && !coding.eq_ignore_ascii_case(b"chunked")) {
            return Err(HeadError::new(
                501,
                HeadErrorKind::Unsupported,
                "the only transfer coding served here is chunked",
            ));
        }
        Err(HeadError::bad("send Transfer-Encoding as exactly `chunked`, or leave it away"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reader::HeadLimits;

    fn body(fields: &str) -> Result<BodyLength, u16> {
        let text = format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        Head::parse(text.as_bytes(), HeadLimits::default())
            .map(|parsed| parsed.unwrap().0.body().unwrap())
            .map_err(|error| error.status)
    }

    #[test]
    fn plain_framing_is_read() {
        assert_eq!(body(""), Ok(BodyLength::None));
        assert_eq!(body("Content-Length: 0\r\n"), Ok(BodyLength::Length(0)));
        assert_eq!(body("content-length:  42 \r\n"), Ok(BodyLength::Length(42)));
        assert_eq!(body("Transfer-Encoding: chunked\r\n"), Ok(BodyLength::Chunked));
        assert_eq!(body("Transfer-Encoding: Chunked\r\n"), Ok(BodyLength::Chunked));
        assert!(BodyLength::Length(0).is_empty());
        assert!(!BodyLength::Chunked.is_empty());
    }

    #[test]
    fn smuggling_variants_are_refused() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length: 5;\r\n",
            "Content-Length: 5.0\r\n",
            "Content-Length:\r\n",
            "Content-Length: \u{0665}\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Content-Length: 99999999999999999999999999999\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: chunked;q=1\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding : chunked\r\n",
            " Transfer-Encoding: chunked\r\n",
            "X: y\r\n Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding:\r\n chunked\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
            "Transfer-Encoding: chunked\x00\r\n",
            "X: y\rTransfer-Encoding: chunked\r\n",
            "X: y\nTransfer-Encoding: chunked\r\n",
            "Transfer\u{2010}Encoding: chunked\r\n",
        ] {
            assert_eq!(body(fields), Err(400), "{fields:?}");
        }
        for fields in [
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: gzip, deflate\r\n",
            "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
        ] {
            assert_eq!(body(fields), Err(501), "{fields:?}");
        }
    }
}
