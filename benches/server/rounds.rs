//! A B A B: the runs of all that is compared are interleaved, so that whatever else the machine does meets all of them.

use std::time::Duration;

use crate::load::{Run, Target};

/// The runs of one target.
pub struct Series {
    pub name: String,
    runs: Vec<Run>,
}

impl Series {
    /// The median of a figure.
    pub fn median(&self, figure: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().map(figure).collect())
    }

    pub fn per_second(&self) -> f64 {
        self.median(|run| run.per_second)
    }

    /// Half of the distance between the best and the worst run, as a part of the median.
    pub fn spread(&self) -> f64 {
        let spread = Spread::of(self.runs.iter().map(|run| run.per_second).collect());
        (spread.most - spread.least) / 2.0 / spread.median
    }

    /// The ratio of requests per second to another's, round by round: what disturbs one round disturbs both.
    pub fn ratio(&self, other: &Self) -> Spread {
        let each = self.runs.iter().zip(&other.runs).map(|(own, other)| own.per_second / other.per_second);
        Spread::of(each.collect())
    }

    /// What the tables show of every series.
    pub fn cells(&self) -> [String; 6] {
        [
            self.name.clone(),
            format!("{:.0}", self.per_second()),
            format!("± {:.0} %", self.spread() * 100.0),
            format!("{:.2}", self.median(|run| run.p50.as_secs_f64()) * 1000.0),
            format!("{:.2}", self.median(|run| run.p99.as_secs_f64()) * 1000.0),
            format!("{:.1}", self.median(|run| run.cpu_micros)),
        ]
    }
}

/// The columns of [`Series::cells`].
pub const COLUMNS: [&str; 6] =
    ["server", "requests/s", "spread", "p50 ms", "p99 ms", "server CPU µs/request"];

/// A figure over all rounds.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(each: Vec<f64>) -> Self {
        let least = each.iter().copied().fold(f64::MAX, f64::min);
        let most = each.iter().copied().fold(0.0, f64::max);
        Self { median: median(each), least, most }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As many places as were asked for: two, for a ratio.
        let places = f.precision().unwrap_or(2);
        write!(f, "{:.places$} ({:.places$}–{:.places$})", self.median, self.least, self.most)
    }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

/// What so many in a hundred are not above.
pub fn percentile(values: &mut [Duration], percent: usize) -> Duration {
    values.sort_unstable();
    values[(values.len() * percent / 100).min(values.len() - 1)]
}

/// Runs every target `rounds` times, one after the other in each round. A round that warms up is thrown away.
pub fn interleave(targets: &[&Target], rounds: usize, seconds: u64) -> Vec<Series> {
    let mut series: Vec<Series> =
        targets.iter().map(|target| Series { name: target.name.clone(), runs: Vec::new() }).collect();
    for target in targets {
        target.run(1);
    }
    for round in 1..=rounds {
        for (target, series) in targets.iter().zip(&mut series) {
            let run = target.run(seconds);
            eprintln!("  round {round} of {rounds}: {:>9.0}/s  {}", run.per_second, target.name);
            series.runs.push(run);
        }
    }
    series
}
