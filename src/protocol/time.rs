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
