//! How is a moment written?

/// In UTC, to the millisecond, from milliseconds since 1970 (RFC 3339, which is also ISO 8601).
pub(crate) fn rfc3339(since: u64) -> String {
    let (seconds, millis) = (since / 1_000, since % 1_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from the first of March, so that the odd day comes last; 146,097 days are 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The milliseconds since 1970 of a moment that is written so, with any offset and any fraction of a second. `None` for what is no
/// time of the calendar, or lies before 1970. A leap second counts as the one behind it.
pub(crate) fn from_rfc3339(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
    };
    let is = |at: usize, letters: &[u8]| text.as_bytes().get(at).is_some_and(|letter| letters.contains(letter));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 || year < 1970 {
        return None;
    }
    let rest = text.get(19..)?;
    let fraction = rest
        .strip_prefix('.')
        .map_or("", |rest| rest.get(..rest.bytes().take_while(u8::is_ascii_digit).count()).unwrap_or_default());
    let offset = match (rest.starts_with('.'), fraction) {
        (true, "") => return None,
        (true, fraction) => rest.get(1 + fraction.len()..)?,
        (false, _) => rest,
    };
    let millis = format!("{fraction:0<3}").get(..3)?.parse::<u64>().ok()?;
    // As above: years begin in March.
    let (shifted, place) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + (153 * place + 2) / 5 + day - 1;
    let seconds = (days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second;
    let local = seconds * 1_000 + millis;
    if matches!(offset, "Z" | "z") {
        return Some(local);
    }
    let part = |range: std::ops::Range<usize>| {
        let digits = offset.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
    };
    let (hours, minutes) = (part(1..3)?, part(4..6)?);
    if offset.len() != 6 || offset.get(3..4) != Some(":") || hours > 23 || minutes > 59 {
        return None;
    }
    let away = (hours * 60 + minutes) * 60_000;
    match offset.get(..1)? {
        "+" => local.checked_sub(away),
        "-" => Some(local + away),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for millis in [
            0,
            1,
            951_782_399_999,
            951_782_400_000,
            951_868_800_000,
            1_709_210_096_007,
            4_107_542_400_000,
            253_402_300_799_999,
        ] {
            assert_eq!(from_rfc3339(&rfc3339(millis)), Some(millis), "{}", rfc3339(millis));
        }
        assert_eq!(from_rfc3339("2030-01-01T02:30:00.5+02:30"), from_rfc3339("2030-01-01T00:00:00.500Z"));
        assert_eq!(from_rfc3339("2029-12-31T23:00:00-01:00"), from_rfc3339("2030-01-01t00:00:00.0009z"));
        assert_eq!(from_rfc3339("2016-12-31T23:59:60Z"), from_rfc3339("2017-01-01T00:00:00Z"));
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for text in [
            "",
            "2030",
            "2030-01-01",
            "2030-01-01T00:00:00",
            "2030-01-01T00:00Z",
            "2030-13-01T00:00:00Z",
            "2030-00-01T00:00:00Z",
            "2030-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2030-04-31T00:00:00Z",
            "2030-01-00T00:00:00Z",
            "2030-01-01T24:00:00Z",
            "2030-01-01T00:60:00Z",
            "2030-01-01T00:00:61Z",
            "2030-01-01T00:00:00.Z",
            "2030-01-01T00:00:00+1:00",
            "2030-01-01T00:00:00+01:0",
            "2030-01-01T00:00:00+24:00",
            "2030-01-01T00:00:00*01:00",
            "2030-01-01T00:00:00ZZ",
            "+030-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "2030-01-01T00:00:00+\u{e9}1:00",
            "\u{e9}030-01-01T00:00:00Z",
            " 2030-01-01T00:00:00Z",
        ] {
            assert_eq!(from_rfc3339(text), None, "{text}");
        }
    }
}
