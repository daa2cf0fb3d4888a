//! Metrics in Prometheus' text format. No label holds anything that a caller chose.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use super::sharded::{ShardedHistogram, ShardedHistograms};

/// From a tenth of a millisecond to ten seconds.
const SECONDS: [f64; 16] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The metrics of one endpoint, looked up once and not at every request.
pub struct EndpointMetrics {
    pub name: &'static str,
    requests: IntCounterVec,
    answered: IntCounter,
    seconds: ShardedHistogram,
}

impl EndpointMetrics {
    /// Counts an answer and how long it took.
    pub fn observe(&self, status: u16, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        match status {
            200 => self.answered.inc(),
            status => self.requests.with_label_values(&[self.name, &status.to_string()]).inc(),
        }
    }
}

/// A counter for each way in which something can end, looked up once and not at every request.
#[derive(Clone)]
pub struct Outcomes(Arc<[(&'static str, IntCounter)]>);

impl Outcomes {
    /// Counts one more that ended like this.
    pub fn count(&self, outcome: &'static str) {
        let counter = self.0.iter().find(|(known, _)| *known == outcome);
        debug_assert!(counter.is_some(), "{outcome} was not announced");
        if let Some((_, counter)) = counter {
            counter.inc();
        }
    }
}

/// Everything that is measured.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: ShardedHistograms,
    pub tokens_issued: Outcomes,
    pub introspections: Outcomes,
    /// Where a token was seen is told to admins, as far as it was noted.
    pub introspections_not_noted: IntCounter,
    pub revocations: Outcomes,
    pub acknowledgement_seconds: Histogram,
    store_seconds: ShardedHistograms,
    store_errors: IntCounterVec,
    pub lease_remaining_seconds: Gauge,
    pub feed_position: IntGauge,
    pub feed_lag: IntGauge,
    pub revoked_in_memory: IntGauge,
    pub replicas: IntGauge,
    pub check_failing: prometheus::IntGaugeVec,
}

struct Maker<'r>(&'r Registry);

impl Maker<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<C>,
    ) -> prometheus::Result<C> {
        let made = made?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn outcomes(
        &self,
        name: &str,
        help: &str,
        label: &str,
        outcomes: &[&'static str],
    ) -> prometheus::Result<Outcomes> {
        let counters = self.counters(name, help, &[label])?;
        let count = |outcome: &&'static str| (*outcome, counters.with_label_values(&[*outcome]));
        Ok(Outcomes(outcomes.iter().map(count).collect()))
    }

    fn histograms(&self, name: &str, help: &str, label: &str) -> prometheus::Result<ShardedHistograms> {
        self.add(ShardedHistograms::new(&HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), label))
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(name, help))
    }
}

impl Metrics {
    /// `grant_types` are those under which tokens are issued.
    ///
    /// # Errors
    /// When two metrics have the same name, which a test would show.
    pub fn new(grant_types: &[&'static str]) -> prometheus::Result<Self> {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let make = Maker(&registry);
        let acknowledgement = HistogramOpts::new(
            "symbolon_revocation_acknowledgement_seconds",
            "From the commit of a revocation until every replica had confirmed it.",
        );
        Ok(Self {
            requests: make.counters(
                "symbolon_http_requests_total",
                "Requests answered, by endpoint and status.",
                &["endpoint", "status"],
            )?,
            request_seconds: make.histograms(
                "symbolon_http_request_duration_seconds",
                "From the head of a request to its answer.",
                "endpoint",
            )?,
            tokens_issued: make.outcomes(
                "symbolon_tokens_issued_total",
                "Access tokens issued.",
                "grant_type",
                grant_types,
            )?,
            introspections: make.outcomes(
                "symbolon_introspections_total",
                "Introspections answered: active, inactive, refused or unavailable.",
                "result",
                &["active", "inactive", "refused", "unavailable"],
            )?,
            introspections_not_noted: make.add(IntCounter::new(
                "symbolon_introspections_not_noted_total",
                "Active answers of which an admin will not see when and where: too many at once, or SQL was away.",
            ))?,
            revocations: make.outcomes(
                "symbolon_revocations_total",
                "Revocations answered: acknowledged, nothing_to_revoke, refused or unavailable.",
                "result",
                &["acknowledged", "nothing_to_revoke", "refused", "unavailable"],
            )?,
            acknowledgement_seconds: make
                .add(Histogram::with_opts(acknowledgement.buckets(SECONDS.to_vec())))?,
            store_seconds: make.histograms(
                "symbolon_store_duration_seconds",
                "How long the grant store took, by operation.",
                "operation",
            )?,
            store_errors: make.counters(
                "symbolon_store_errors_total",
                "Operations that the grant store did not confirm.",
                &["operation"],
            )?,
            lease_remaining_seconds: make.add(Gauge::new(
                "symbolon_lease_remaining_seconds",
                "How long this replica may go on answering without SQL; 0 means it answers 503.",
            ))?,
            feed_position: make.gauge(
                "symbolon_feed_position",
                "Number of the last change that this replica has applied.",
            )?,
            feed_lag: make.gauge(
                "symbolon_feed_lag_changes",
                "Changes that some replica has applied and this one has not.",
            )?,
            revoked_in_memory: make
                .gauge("symbolon_revoked_grants_in_memory", "Revoked grants that this replica remembers.")?,
            replicas: make.gauge("symbolon_replicas", "Replicas that hold a row in SQL.")?,
            check_failing: make.add(prometheus::IntGaugeVec::new(
                Opts::new("symbolon_check_failing", "1 while a readiness check fails."),
                &["check"],
            ))?,
            registry,
        })
    }

    /// How long an operation of the grant store takes, and how often it fails.
    pub fn store_operation(&self, name: &str) -> (ShardedHistogram, IntCounter) {
        (self.store_seconds.with_label(name), self.store_errors.with_label_values(&[name]))
    }

    /// The metrics of the endpoint with this name.
    pub fn endpoint(&self, name: &'static str) -> EndpointMetrics {
        EndpointMetrics {
            name,
            requests: self.requests.clone(),
            answered: self.requests.with_label_values(&[name, "200"]),
            seconds: self.request_seconds.with_label(name),
        }
    }

    /// The text that a scraper reads.
    ///
    /// # Errors
    /// When a metric cannot be written.
    pub fn render(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_name_of_its_own_and_is_rendered() {
        let metrics = Metrics::new(&[]).unwrap();
        metrics.endpoint("token").observe(200, Duration::from_millis(1));
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(text.contains("symbolon_http_requests_total{endpoint=\"token\",status=\"200\"} 1"));
        assert!(text.contains("symbolon_lease_remaining_seconds"));
    }
}
