//! Moments as people write them, in UTC.

use super::clock::Timestamp;

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
        }
    }
}
