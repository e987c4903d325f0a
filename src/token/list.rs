//! A list of tokens as text: one a line. Knows no file.

use super::Token;
use crate::protocol::time;
use std::time::{Duration, UNIX_EPOCH};

/// The most lines: a list is read into memory, and compared to its end for each request.
const LINES: usize = 10_000;

/// What is wrong with a line. Never contains what stands in the place of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// From 1 on.
    pub(crate) line: usize,
    pub(crate) problem: String,
}

/// Reads a list: `PRINCIPAL TOKEN [name=NAME] [scopes=A,B] [expires=RFC3339]` a line, with `sha256:HEX` for a token that is not to stand there.
/// Blanks or tabs between the fields; empty lines and those that begin with `#` are passed over.
///
/// # Errors
/// The first line that cannot be read.
pub(crate) fn parse(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut tokens: Vec<Token> = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let wrong = |problem: String| Wrong { line: index + 1, problem };
        if index >= LINES {
            return Err(wrong(format!("a list has at most {LINES} lines")));
        }
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let token = token(line).map_err(wrong)?;
        let hash = token.check().map_err(|error| wrong(error.problem))?;
        if tokens.iter().any(|other| other.hash == Ok(hash)) {
            return Err(wrong("this token is in the list already".to_owned()));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

fn token(line: &str) -> Result<Token, String> {
    let mut fields = line.split_ascii_whitespace();
    let (Some(principal), Some(secret)) = (fields.next(), fields.next()) else {
        return Err("write `PRINCIPAL TOKEN`, or `PRINCIPAL sha256:HEX`".to_owned());
    };
    let mut token = match secret.split_once("sha256:") {
        Some(("", hex)) => Token::from_sha256(principal, hex),
        _ => Token::new(principal, secret),
    };
    for field in fields {
        // The name of the field only: a value may be a second token by mistake.
        let (name, value) = field
            .split_once('=')
            .ok_or("has a field without `=` behind its token; there may be name=, scopes= and expires=")?;
        let twice = match name {
            "name" => token.name.replace(value.to_owned()).is_some(),
            "scopes" => {
                let scopes = value.split(',').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
                token.scopes.replace(scopes).is_some()
            }
            "expires" => {
                let millis = time::from_rfc3339(value)
                    .ok_or("has an `expires` that is no time: write it as 2030-12-31T23:59:59Z")?;
                token.expiry.replace(UNIX_EPOCH + Duration::from_millis(millis)).is_some()
            }
            _ => {
                return Err(
                    "has an unknown field behind its token; there may be name=, scopes= and expires=".to_owned()
                );
            }
        };
        if twice {
            return Err(format!("has the field `{name}` twice"));
        }
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn a_line_is_a_token() {
        let text = format!(
            "\u{feff}# tokens\n\nada\tada-token-0123456789==  name=laptop scopes=a:b,c expires=2030-01-01T00:00:00Z\r\n  # more\nbob sha256:{HEX}\nbob bob-token-0123456789 scopes="
        );
        let tokens = parse(&text).unwrap();
        let expected = [
            Token::new("ada", "ada-token-0123456789==")
                .named("laptop")
                .scopes(["a:b", "c"])
                .expires(UNIX_EPOCH + Duration::from_secs(1_893_456_000)),
            Token::from_sha256("bob", HEX),
            Token::new("bob", "bob-token-0123456789").scopes(Vec::<String>::new()),
        ];
        assert_eq!(tokens, expected);
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn errors_name_the_line_and_not_the_token() {
        const SECRET: &str = "kept-secret-0123456789";
        for wrong in [
            "kept-secret-0123456789",
            "ada short",
            "ada kept-secret-0123456789 kept-secret-0123456789",
            "ada kept-secret-0123456789 token=kept-secret-0123456789",
            "ada kept-secret-0123456789 kept-secret-0123456789=",
            "ada kept-secret-0123456789 name=a name=b",
            "ada kept-secret-0123456789 name=",
            "ada kept-secret-0123456789 scopes=a\"b",
            "ada kept-secret-0123456789 expires=tomorrow",
            "ada kept-secret-0123456789 expires=2030-02-30T00:00:00Z",
            "ada kept-secret-\u{e9}0123456789",
            "ada sha256:12",
            "ada other-secret-0123456789",
        ] {
            let error = parse(&format!("# one\nbob other-secret-0123456789\n{wrong}\n")).unwrap_err();
            assert_eq!(error.line, 3, "{wrong}");
            assert!(!error.problem.contains(SECRET) && !error.problem.contains("other-secret"), "{error:?}");
        }
        let many = "#\n".repeat(LINES + 1);
        assert_eq!(parse(&many).unwrap_err().line, LINES + 1);
    }
}
