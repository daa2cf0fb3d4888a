//! Histograms that threads do not fight over.
//!
//! One observation of a histogram writes four words. Where all workers share them, the cores pass
//! them to and fro at every request; so each thread writes to a shard, and whoever scrapes adds the
//! shards up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily};
use prometheus::{HistogramOpts, HistogramVec};

/// More than a server on a usual machine has workers; threads beyond share.
const SHARDS: usize = 16;

thread_local! {
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
    };
}

/// A histogram for each value of a label.
#[derive(Clone)]
pub(super) struct ShardedHistograms(Arc<[HistogramVec]>);

/// One of them.
#[derive(Clone)]
pub struct ShardedHistogram(Arc<[prometheus::Histogram]>);

impl ShardedHistogram {
    /// Counts one observation, in seconds.
    pub fn observe(&self, seconds: f64) {
        if let Some(shard) = self.0.get(SHARD.with(|shard| *shard)) {
            shard.observe(seconds);
        }
    }
}

impl ShardedHistograms {
    pub(super) fn new(options: &HistogramOpts, label: &str) -> prometheus::Result<Self> {
        let shards = (0..SHARDS).map(|_| HistogramVec::new(options.clone(), &[label]));
        shards.collect::<prometheus::Result<Vec<_>>>().map(|shards| Self(shards.into()))
    }

    pub(super) fn with_label(&self, value: &str) -> ShardedHistogram {
        ShardedHistogram(self.0.iter().map(|shard| shard.with_label_values(&[value])).collect())
    }
}

impl Collector for ShardedHistograms {
    fn desc(&self) -> Vec<&Desc> {
        self.0.first().map(Collector::desc).unwrap_or_default()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.iter().flat_map(Collector::collect);
        let Some(mut sum) = families.next() else { return Vec::new() };
        for metric in families.flat_map(|mut family| family.take_metric()) {
            let same = sum.mut_metric().iter_mut().find(|own| own.get_label() == metric.get_label());
            match same {
                Some(own) => own.set_histogram(add(own, &metric)),
                None => sum.mut_metric().push(metric),
            }
        }
        vec![sum]
    }
}

fn add(one: &Metric, other: &Metric) -> Histogram {
    let (one, other) = (one.get_histogram(), other.get_histogram());
    let mut sum = Histogram::default();
    sum.set_sample_count(one.get_sample_count() + other.get_sample_count());
    sum.set_sample_sum(one.get_sample_sum() + other.get_sample_sum());
    let buckets = one.get_bucket().iter().zip(other.get_bucket()).map(|(one, other)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(one.upper_bound());
        bucket.set_cumulative_count(one.cumulative_count() + other.cumulative_count());
        bucket
    });
    sum.set_bucket(buckets.collect());
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_observe_is_added_up() {
        let options = HistogramOpts::new("seconds", "How long it took.").buckets(vec![1.0, 2.0]);
        let histograms = ShardedHistograms::new(&options, "what").unwrap();
        let (one, other) = (histograms.with_label("one"), histograms.with_label("other"));
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    one.observe(0.5);
                    one.observe(1.5);
                    other.observe(3.0);
                });
            }
        });
        let families = histograms.collect();
        let [family] = families.as_slice() else { panic!("one family") };
        let counts = |which: &str| {
            let metrics = family.get_metric();
            let metric = metrics.iter().find(|metric| metric.get_label()[0].value() == which).unwrap();
            let histogram = metric.get_histogram();
            let buckets = histogram.get_bucket().iter().map(Bucket::cumulative_count).collect::<Vec<_>>();
            (histogram.get_sample_count(), histogram.get_sample_sum(), buckets)
        };
        assert_eq!(counts("one"), (64, 64.0, vec![32, 64]));
        assert_eq!(counts("other"), (32, 96.0, vec![0, 0]));
    }
}
