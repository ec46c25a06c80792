//! The one clock of the agent, and how its times are written.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::model::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// `at` as Docker writes times: RFC 3339 in UTC, nanoseconds without trailing zeroes.
pub fn rfc3339(at: Timestamp) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // Every time that 64 bits of nanoseconds can say has a year of four digits, so it can be written.
    time.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        assert_eq!(rfc3339(Timestamp(1_500_000_000_120_000_000)), "2017-07-14T02:40:00.12Z");
        assert_eq!(rfc3339(Timestamp(1_500_000_000_000_000_000)), "2017-07-14T02:40:00Z");
        assert!(rfc3339(Timestamp(u64::MAX)).starts_with("2554-"));
    }
}
