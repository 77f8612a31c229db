//! Times as text: reading what people and other programs wrote, showing what the node says.
//! No clock is read here.

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

/// An ISO 8601 time, in UTC and to the second: `2025-06-01T18:00:00Z`. `None` if it is none.
///
/// A date alone is its midnight. A space may stand for the `T`; seconds, their fraction and the
/// offset may be missing; without an offset UTC is meant.
pub(crate) fn normal(written: &str) -> Option<String> {
    let written = written.trim();
    let (date, rest) = match written.split_once(['T', 't', ' ']) {
        Some((date, rest)) => (date, Some(rest)),
        None => (written, None),
    };
    let mut parts = date.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = digits(parts.next()?, 2)?;
    let day = digits(parts.next()?, 2)?;
    if parts.next().is_some() || day < 1 || day > days_in(year, month)? {
        return None;
    }
    let (seconds, offset) = match rest {
        Some(rest) => clock(rest)?,
        None => (0, 0),
    };
    let total = seconds.checked_sub(offset)?;
    let (year, month, day) = moved(year, month, day, total.div_euclid(86_400))?;
    let left = total.rem_euclid(86_400);
    let (hour, minute, second) = (left.div_euclid(3600), left.div_euclid(60), left.rem_euclid(60));
    let minute = minute.rem_euclid(60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// Seconds of the day, and seconds by which the clock that was read is ahead of UTC.
fn clock(written: &str) -> Option<(i64, i64)> {
    let (time, offset) = match written.find(['Z', 'z', '+', '-']) {
        Some(at) => {
            let (time, zone) = written.split_at_checked(at)?;
            (time, zone_offset(zone)?)
        }
        None => (written, 0),
    };
    let (time, fraction) = time.split_once(['.', ',']).unwrap_or((time, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut parts = time.split(':');
    let hour = digits(parts.next()?, 2)?;
    let minute = digits(parts.next()?, 2)?;
    let second = parts.next().map_or(Some(0), |second| digits(second, 2))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?;
    Some((seconds.checked_add(second)?, offset))
}

/// `Z`, `+02:00`, `-0530`, `+02`.
fn zone_offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1_i64 } else { 1 };
    let figures: String = zone.chars().skip(1).filter(|c| *c != ':').collect();
    let (hours, minutes) = match figures.len() {
        2 => (digits(&figures, 2)?, 0),
        4 => (digits(figures.get(..2)?, 2)?, digits(figures.get(2..)?, 2)?),
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_mul(sign)
}

fn digits(text: &str, length: usize) -> Option<i64> {
    (text.len() == length && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn days_in(year: i64, month: i64) -> Option<i64> {
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// A date `days` later; an offset moves it by one day at most.
fn moved(year: i64, month: i64, day: i64, days: i64) -> Option<(i64, i64, i64)> {
    let day = day.checked_add(days)?;
    if day < 1 {
        let (year, month) =
            if month == 1 { (year.checked_sub(1)?, 12) } else { (year, month.checked_sub(1)?) };
        return (year >= 0).then_some((year, month, days_in(year, month)?));
    }
    if day > days_in(year, month)? {
        return Some(if month == 12 {
            (year.checked_add(1)?, 1, 1)
        } else {
            (year, month.checked_add(1)?, 1)
        });
    }
    Some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_put_into_utc() {
        for (written, utc) in [
            ("2025-06-01T18:00:00Z", "2025-06-01T18:00:00Z"),
            ("2025-06-01 18:00", "2025-06-01T18:00:00Z"),
            ("2025-06-01T18:00:00.123456+02:00", "2025-06-01T16:00:00Z"),
            ("2025-01-01T00:30:00+01:00", "2024-12-31T23:30:00Z"),
            ("2024-02-28T23:30:00-0100", "2024-02-29T00:30:00Z"),
            ("2025-12-31T23:30:00-01", "2026-01-01T00:30:00Z"),
            ("2025-06-01", "2025-06-01T00:00:00Z"),
        ] {
            assert_eq!(normal(written).as_deref(), Some(utc), "{written}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for written in [
            "",
            "yesterday",
            "2025-13-01",
            "2025-02-29",
            "2025-06-01T24:00:00Z",
            "2025-06-01T18:61",
            "2025-06-01T18:00:00+2",
            "2025-06-01T18:00:00.Z",
            "2025-6-1",
            "2025-06-01T1é:00",
        ] {
            assert_eq!(normal(written), None, "{written}");
        }
        assert_eq!(readable("soon\u{1b}"), "soon\u{fffd}");
    }
}
