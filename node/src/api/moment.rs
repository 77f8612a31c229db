//! Times as the API writes and reads them: ISO 8601, written in UTC to the millisecond.

use cairn_crdt::time::Timestamp;

const SECOND: u64 = 1000;
const DAY: u64 = 86_400 * SECOND;
/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_DAY: u64 = 719_468;
/// Days in four hundred years, after which the calendar repeats.
const ERA_DAYS: u64 = 146_097;
/// 9999-12-31T23:59:59.999Z: what is later is written as this.
const LAST: u64 = 253_402_300_799_999;

/// `2025-06-01T18:00:00.000Z`.
#[must_use]
pub fn write(time: Timestamp) -> String {
    let millis = time.as_millis().min(LAST);
    let (days, rest) = parts(millis, DAY);
    let (year, month, day) = civil(days);
    let (hour, rest) = parts(rest, 3600 * SECOND);
    let (minute, rest) = parts(rest, 60 * SECOND);
    let (second, milli) = parts(rest, SECOND);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Reads an ISO 8601 time from 1970 on. The zone is `Z` or an offset like `+02:00`; without one,
/// UTC is meant. Seconds and their fraction may be missing, and so may the whole clock time.
/// `None` if it is something else.
#[must_use]
pub fn read(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let (date, clock) = match text.split_once(['T', 't', ' ']) {
        Some((date, clock)) => (date, Some(clock)),
        None => (text, None),
    };
    let mut fields = date.split('-');
    let (year, month, day) =
        (digits(fields.next()?, 4)?, digits(fields.next()?, 2)?, digits(fields.next()?, 2)?);
    let whole = fields.next().is_none() && (1..=12).contains(&month);
    if !whole || year < 1969 || day < 1 || day > days_in(year, month) {
        return None;
    }
    let (of_day, offset) = clock.map_or(Some((0, (0, true))), clock_time)?;
    let local = days_before(year, month, day)?.checked_mul(DAY)?.checked_add(of_day)?;
    let (distance, ahead) = offset;
    let shifted = if ahead { local.checked_sub(distance) } else { local.checked_add(distance) }?;
    // Reckoned from one day earlier, so that a first of January 1970 east of Greenwich is no error.
    let millis = shifted.checked_sub(DAY)?;
    (millis <= LAST).then(|| Timestamp::from_millis(millis))
}

/// Milliseconds of the day, and the offset: its size and whether the clock is ahead of UTC.
fn clock_time(text: &str) -> Option<(u64, (u64, bool))> {
    let (time, offset) = match text.find(['Z', 'z', '+', '-']) {
        Some(at) => {
            let (time, zone) = text.split_at_checked(at)?;
            (time, zone_offset(zone)?)
        }
        None => (text, (0, true)),
    };
    let (time, fraction) = match time.split_once(['.', ',']) {
        Some((time, fraction)) => (time, milliseconds(fraction)?),
        None => (time, 0),
    };
    let mut fields = time.split(':');
    let (hour, minute) = (digits(fields.next()?, 2)?, digits(fields.next()?, 2)?);
    let second = fields.next().map_or(Some(0), |second| digits(second, 2))?;
    // A leap second counts as the second before it.
    if fields.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = hour
        .checked_mul(3600)?
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second.min(59))?;
    Some((seconds.checked_mul(SECOND)?.checked_add(fraction)?, offset))
}

fn zone_offset(zone: &str) -> Option<(u64, bool)> {
    if zone.eq_ignore_ascii_case("z") {
        return Some((0, true));
    }
    let ahead = zone.starts_with('+');
    let rest = zone.get(1..)?;
    let (hours, minutes) = match rest.split_once(':') {
        Some((hours, minutes)) => (digits(hours, 2)?, digits(minutes, 2)?),
        None if rest.len() == 2 => (digits(rest, 2)?, 0),
        None => (digits(rest.get(..2)?, 2)?, digits(rest.get(2..)?, 2)?),
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
    Some((minutes.checked_mul(60)?.checked_mul(SECOND)?, ahead))
}

fn milliseconds(fraction: &str) -> Option<u64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    fraction.chars().chain("00".chars()).take(3).collect::<String>().parse().ok()
}

fn digits(text: &str, length: usize) -> Option<u64> {
    let right = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    right.then(|| text.parse().ok()).flatten()
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

fn parts(value: u64, unit: u64) -> (u64, u64) {
    (value.checked_div(unit).unwrap_or_default(), value.checked_rem(unit).unwrap_or_default())
}

/// Days from 1969-12-31 to a date: one more than since the epoch, so that it is never negative.
/// Years are counted from March, which puts the leap day last (Hinnant's `days_from_civil`).
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, of_era) = parts(year, 400);
    let from_march = if month > 2 { month.checked_sub(3)? } else { month.checked_add(9)? };
    let of_year = parts(from_march.checked_mul(153)?.checked_add(2)?, 5).0;
    let of_year = of_year.checked_add(day)?.checked_sub(1)?;
    let of_era = of_era
        .checked_mul(365)?
        .checked_add(parts(of_era, 4).0)?
        .checked_sub(parts(of_era, 100).0)?
        .checked_add(of_year)?;
    era.checked_mul(ERA_DAYS)?.checked_add(of_era)?.checked_add(1)?.checked_sub(EPOCH_DAY)
}

/// Year, month and day of a day since the epoch (Hinnant's `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let (era, day) = parts(days.saturating_add(EPOCH_DAY), ERA_DAYS);
    let leap = parts(day, 1460).0.saturating_add(parts(day, 146_096).0);
    let of_era = day.saturating_add(parts(day, 36_524).0).saturating_sub(leap);
    let year = parts(of_era, 365).0;
    let before = year
        .saturating_mul(365)
        .saturating_add(parts(year, 4).0)
        .saturating_sub(parts(year, 100).0);
    let of_year = day.saturating_sub(before);
    let from_march = parts(of_year.saturating_mul(5).saturating_add(2), 153).0;
    let first = parts(from_march.saturating_mul(153).saturating_add(2), 5).0;
    let day = of_year.saturating_sub(first).saturating_add(1);
    let month =
        if from_march < 10 { from_march.saturating_add(3) } else { from_march.saturating_sub(9) };
    let year = year.saturating_add(era.saturating_mul(400));
    (if month <= 2 { year.saturating_add(1) } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_hundred_years_is_written_and_read_back() {
        let mut expected = (1970, 1, 1);
        for day in 0..ERA_DAYS {
            let time = Timestamp::from_millis(day * DAY + 43_200_123);
            let text = write(time);
            let (year, month, date) = expected;
            assert_eq!(text, format!("{year:04}-{month:02}-{date:02}T12:00:00.123Z"));
            assert_eq!(read(&text), Some(time));
            expected = if date < days_in(year, month) {
                (year, month, date + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
        }
        assert_eq!(expected, (2370, 1, 1));
    }

    #[test]
    fn offsets_fractions_and_short_forms_are_understood() {
        for (text, utc) in [
            ("2025-06-01T18:00:00Z", "2025-06-01T18:00:00.000Z"),
            ("2025-06-01 18:00", "2025-06-01T18:00:00.000Z"),
            ("2025-06-01T18:00:00.1234+02:00", "2025-06-01T16:00:00.123Z"),
            ("2025-01-01T00:30:00,5+0100", "2024-12-31T23:30:00.500Z"),
            ("2024-02-28T23:30:00-01", "2024-02-29T00:30:00.000Z"),
            ("1970-01-01T01:00:00+01:00", "1970-01-01T00:00:00.000Z"),
            ("1969-12-31T23:00:00-01:00", "1970-01-01T00:00:00.000Z"),
            ("2025-06-01", "2025-06-01T00:00:00.000Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(read(text).map(write).as_deref(), Some(utc), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_from_1970_on_is_refused() {
        for text in [
            "",
            "soon",
            "1969-12-31",
            "2025-13-01",
            "2025-00-01",
            "2025-02-29",
            "2025-06-31",
            "2025-06-01T24:00Z",
            "2025-06-01T18:61",
            "2025-06-01T18:00:00+2",
            "2025-06-01T18:00:00+24:00",
            "2025-06-01T18:00:00.Z",
            "2025-6-1",
            "2025-06-01T1é:00",
            "2025-06-01T18:00+é",
            "99999-01-01",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(write(Timestamp::from_millis(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }
}
