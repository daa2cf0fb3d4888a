//! Moments as people write them, in UTC.

use std::fmt;

use super::clock::Timestamp;

/// The text is not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedMoment;

impl fmt::Display for MalformedMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a moment; write it like 2027-01-15T08:00:00Z or 2027-01-15T09:00:00+01:00")
    }
}

impl std::error::Error for MalformedMoment {}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `2027-01-15T08:00:00Z` (RFC 3339).
pub fn rfc3339(moment: Timestamp) -> String {
    let (year, month, day) = date(moment);
    let (hour, minute, second) = time(moment);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads `date-time` of RFC 3339 §5.6; a part of a second is left out.
///
/// # Errors
/// When the text has another form, or names a day or a time that there is not.
pub fn parse_rfc3339(text: &str) -> Result<Timestamp, MalformedMoment> {
    read_date_time(text.as_bytes()).ok_or(MalformedMoment)
}

fn read_date_time(text: &[u8]) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(11)?;
    let (time, rest) = rest.split_at_checked(8)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't' | b' '] = *date else { return None };
    let [h1, h2, b':', n1, n2, b':', s1, s2] = *time else { return None };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
    let is_time = hour < 24 && minute < 60 && second < 60;
    let day = days(year, month, day)?;
    let seconds = day * 86_400 + hour * 3600 + minute * 60 + second;
    let moment = Timestamp::from_unix_seconds(seconds - read_offset(without_fraction(rest)?)?);
    is_time.then_some(moment)
}

fn without_fraction(text: &[u8]) -> Option<&[u8]> {
    let Some(fraction) = text.strip_prefix(b".") else { return Some(text) };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    fraction.get(digits..).filter(|_| digits > 0)
}

/// By how many seconds a clock there is ahead of UTC.
fn read_offset(text: &[u8]) -> Option<i64> {
    match *text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
            let ahead = hours * 3600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if sign == b'-' { -ahead } else { ahead })
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| Some(number * 10 + i64::from(char::from(*digit).to_digit(10)?)))
}

/// The day of a date, counted from 1970-01-01; `None` for a date that there is not.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let shifted_month = (month + 9) % 12;
    let shifted_year = year - i64::from(month <= 2);
    let (era, year_of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    (date(Timestamp::from_unix_seconds(days * 86_400)) == (year, month, day)).then_some(days)
}

/// `15 January 2027, 08:00 UTC`
pub fn in_words(moment: Timestamp) -> String {
    let (year, month, day) = date(moment);
    let (hour, minute, _) = time(moment);
    let name = usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month)).copied();
    format!("{day} {} {year}, {hour:02}:{minute:02} UTC", name.unwrap_or_default())
}

fn time(moment: Timestamp) -> (i64, i64, i64) {
    let seconds = moment.unix_seconds().rem_euclid(86_400);
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Year, month from 1, day. Days to a date, after Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms".
fn date(moment: Timestamp) -> (i64, i64, i64) {
    let shifted = moment.unix_seconds().div_euclid(86_400) + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        for (seconds, machine, words) in [
            (0, "1970-01-01T00:00:00Z", "1 January 1970, 00:00 UTC"),
            (951_782_399, "2000-02-28T23:59:59Z", "28 February 2000, 23:59 UTC"),
            (951_782_400, "2000-02-29T00:00:00Z", "29 February 2000, 00:00 UTC"),
            (1_800_000_000, "2027-01-15T08:00:00Z", "15 January 2027, 08:00 UTC"),
            (1_798_761_599, "2026-12-31T23:59:59Z", "31 December 2026, 23:59 UTC"),
        ] {
            let moment = Timestamp::from_unix_seconds(seconds);
            assert_eq!((rfc3339(moment).as_str(), in_words(moment).as_str()), (machine, words));
            assert_eq!(parse_rfc3339(machine), Ok(moment));
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_read_as_it_is_written() {
        for day in 0..=146_097 {
            let moment = Timestamp::from_unix_seconds(day * 86_400 + day % 86_400);
            assert_eq!(parse_rfc3339(&rfc3339(moment)), Ok(moment));
        }
    }

    #[test]
    fn a_moment_may_be_written_as_a_clock_elsewhere_shows_it() {
        let moment = Ok(Timestamp::from_unix_seconds(1_800_000_000));
        for text in [
            "2027-01-15T09:30:00+01:30",
            "2027-01-14T20:00:00-12:00",
            "2027-01-15t08:00:00z",
            "2027-01-15 08:00:00.999Z",
        ] {
            assert_eq!(parse_rfc3339(text), moment, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2027-01-15",
            "2027-01-15T08:00:00",
            "2027-01-15T08:00Z",
            "2027-02-29T08:00:00Z",
            "2027-13-01T08:00:00Z",
            "2027-00-01T08:00:00Z",
            "2027-01-00T08:00:00Z",
            "2027-01-15T24:00:00Z",
            "2027-01-15T08:60:00Z",
            "2027-01-15T08:00:00.Z",
            "2027-01-15T08:00:00+1:00",
            "2027-01-15T08:00:00+24:00",
            "2027-01-15T08:00:00Z ",
            "+027-01-15T08:00:00Z",
            "1800000000",
        ] {
            assert_eq!(parse_rfc3339(text), Err(MalformedMoment), "{text}");
        }
    }
}
