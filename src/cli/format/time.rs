//! Times in words ("5 minutes ago") and on the command line. The clock is read in one function.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Nanoseconds since 1970.
pub(crate) fn now() -> i128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0))
}

/// How long before `now` the RFC 3339 time `then` was, in Docker's words; as it stands when it is no time.
///
/// Source: go-units `HumanDuration`.
pub(crate) fn ago(then: &str, now: i128) -> String {
    match OffsetDateTime::parse(then, &Rfc3339) {
        Ok(time) => format!("{} ago", duration(now - time.unix_timestamp_nanos())),
        Err(_) => then.to_owned(),
    }
}

/// Whether the RFC 3339 time `one` is later than `other`; not where one of them is no time.
pub(crate) fn is_later(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|text| OffsetDateTime::parse(text, &Rfc3339));
    one.is_ok_and(|one| other.is_ok_and(|other| one > other))
}

/// Nanoseconds since 1970 as Docker's events show a time: nine digits of fraction, `Z`.
pub(crate) fn rfc3339(nanoseconds: i64) -> String {
    match OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanoseconds)) {
        Ok(time) => {
            let (date, clock) = (time.date(), time.time());
            let (hour, minute, second, fraction) = clock.as_hms_nano();
            let (year, month, day) = date.to_calendar_date();
            let month = u8::from(month);
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
        }
        Err(_) => nanoseconds.to_string(),
    }
}

fn duration(nanoseconds: i128) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let minutes = seconds / 60;
    // Hours are rounded, all else is cut.
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// A time as the user may give it (Unix seconds, RFC 3339, a day, or "10m" before `now`), as the API wants it:
/// `seconds.nanoseconds`.
pub(crate) fn as_unix(text: &str, now: i128) -> Option<String> {
    let stamp = |nanoseconds: i128| {
        format!("{}.{:09}", nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000))
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !whole.is_empty() && whole.len() <= 18 && fraction.len() <= 9 && digits(whole) && digits(fraction) {
        return Some(text.to_owned());
    }
    let day = format!("{text}T00:00:00Z");
    let zoneless = format!("{text}Z");
    let time = [text, &zoneless, &day].into_iter().find_map(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    time.map(OffsetDateTime::unix_timestamp_nanos).or_else(|| Some(now - go_duration(text)?)).map(stamp)
}

/// Go's durations: `1h30m`, `1.5s`, `300ms`; in nanoseconds.
fn go_duration(text: &str) -> Option<i128> {
    let mut rest = text;
    let mut total = 0i128;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let number: f64 = rest[..unit_at].parse().ok()?;
        let unit_end = rest[unit_at..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| unit_at + end);
        let unit = match &rest[unit_at..unit_end] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        total = total.checked_add((number * unit) as i128)?;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;

    #[test]
    fn durations_are_worded_as_docker_words_them() {
        let words = |seconds: i128| duration(seconds * SECOND);
        let (hour, day) = (3600, 86_400);
        for (seconds, expected) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (hour, "About an hour"),
            (hour + 1800, "2 hours"),
            (47 * hour, "47 hours"),
            (3 * day, "3 days"),
            (15 * day, "2 weeks"),
            (70 * day, "2 months"),
            (3 * 365 * day, "3 years"),
        ] {
            assert_eq!(words(seconds), expected, "{seconds}");
        }
        assert_eq!(ago("1970-01-01T00:00:10.5Z", 16 * SECOND), "5 seconds ago");
        assert_eq!(ago("soon", 0), "soon");
    }

    #[test]
    fn times_are_read_in_every_form() {
        let now = 1_000_000 * SECOND;
        let read = |text: &str| as_unix(text, now);
        assert_eq!(read("1795510250").as_deref(), Some("1795510250"));
        assert_eq!(read("1795510250.5").as_deref(), Some("1795510250.5"));
        assert_eq!(read("10m").as_deref(), Some("999400.000000000"));
        assert_eq!(read("1h30m1.5s").as_deref(), Some("994598.500000000"));
        assert_eq!(read("2026-11-24T08:50:50.25Z").as_deref(), Some("1795510250.250000000"));
        assert_eq!(read("2026-11-24").as_deref(), Some("1795478400.000000000"));
        for bad in ["", "x", "10q", "1.2.3", "m", "-", "..s"] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}
