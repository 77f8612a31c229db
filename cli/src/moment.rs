//! Times for people, and times that other programs wrote. No clock is read here.

use cairn_node::api::moment::{read, write};

/// `2025-06-01T18:00:00.123Z` as `2025-06-01 18:00 UTC`. What is no such time is shown as it is.
pub(crate) fn readable(written: &str) -> String {
    match normal(written) {
        Some(utc) => {
            let minutes: String = utc.chars().take(16).collect();
            format!("{} UTC", minutes.replace('T', " "))
        }
        None => crate::output::plain_line(written),
    }
}

/// An ISO 8601 time as the API writes it, in UTC; texts of this form sort by time. `None` if it is
/// no such time.
pub(crate) fn normal(written: &str) -> Option<String> {
    read(written).map(write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc_to_the_minute() {
        assert_eq!(readable("2025-06-01T18:00:00.123Z"), "2025-06-01 18:00 UTC");
        assert_eq!(readable("2025-01-01T00:30:00+01:00"), "2024-12-31 23:30 UTC");
        assert_eq!(readable("soon\u{1b}"), "soon\u{fffd}");
    }
}
