//! Durations as operators write them: `250ms`, `30s`, `15m`, `24h`, `30d`, `1h30m`.

use std::fmt;
use std::time::Duration;

/// The text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedDuration;

impl fmt::Display for MalformedDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a duration; write it like 250ms, 30s, 15m, 24h or 30d")
    }
}

impl std::error::Error for MalformedDuration {}

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a duration: one or more numbers, each with its unit.
///
/// # Errors
/// When the text has another form or the duration is longer than fits.
pub fn parse(text: &str) -> Result<Duration, MalformedDuration> {
    let mut rest = text.trim();
    let mut millis = 0u64;
    if rest.is_empty() {
        return Err(MalformedDuration);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(MalformedDuration)?;
        let (number, tail) = rest.split_at_checked(digits).ok_or(MalformedDuration)?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters).ok_or(MalformedDuration)?;
        let number: u64 = number.parse().map_err(|_| MalformedDuration)?;
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(MalformedDuration)?;
        millis =
            number.checked_mul(*size).and_then(|part| millis.checked_add(part)).ok_or(MalformedDuration)?;
        rest = tail;
    }
    Ok(Duration::from_millis(millis))
}

/// Writes a duration the way [`parse`] reads it, in the largest unit that divides it.
pub fn format(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let unit = UNITS.iter().find(|(_, size)| millis > 0 && millis.is_multiple_of(*size));
    match unit {
        Some((name, size)) => format!("{}{name}", millis / size),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_alike() {
        for (text, seconds) in [("30s", 30), ("15m", 900), ("24h", 86_400), ("30d", 2_592_000)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(format(Duration::from_millis(250)), "250ms");
        assert_eq!(format(Duration::from_secs(86_400)), "1d");
        assert_eq!(format(Duration::ZERO), "0s");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "15", "m", "-5m", "5 m", "1.5h", "5y", "99999999999999999999s", "5m3"] {
            assert_eq!(parse(text), Err(MalformedDuration), "{text}");
        }
    }
}
