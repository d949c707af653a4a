//! What operators watch: how much of what the daemon does, how long it takes, and what there is now, in the text format that Prometheus
//! reads.
//!
//! Labels have few values, all of them the daemon's own: nothing that a client makes up becomes one.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds in seconds: from a tenth of a millisecond, below which nothing is, to the longest exec.
const BOUNDS: [f64; 18] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0,
    60.0, 300.0, 600.0,
];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All figures of one daemon. Recording one takes well under a microsecond, and blocks nobody for longer.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    creates: Histograms<Source>,
    create_failures: Family<Why, Counter>,
    execs: Histograms<Why>,
    exec_failures: Counter,
    ends: Family<Status, Counter>,
    teardowns: Histogram,
    pool_takes: Family<Take, Counter>,
    pool_ended: Family<Why, Counter>,
    pool_failures: Family<Image, Counter>,
    sessions: Gauge,
    creating: Gauge,
    waiting: Gauge,
    pool_idle: Family<Image, Gauge>,
    pool_wanted: Family<Image, Gauge>,
}

/// What there is at the moment of a reading.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) sessions: usize,
    /// Creates that are under way.
    pub(crate) creating: usize,
    /// Creates that wait for their turn.
    pub(crate) waiting: usize,
    /// Of each image of the pool: its name, how many sandboxes are idle, and how many are to be.
    pub(crate) pool: Vec<(String, usize, usize)>,
}

/// Why a create made no session.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CreateFailure {
    /// There are as many sessions as may be.
    Place,
    /// It waited in vain for its turn, or could not even wait.
    Turn,
    /// The host has too little memory.
    Memory,
    /// Anything else, from a name that is taken to a fault of the daemon's.
    Other,
}

/// Why a sandbox of the pool was ended before anybody got it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PoolEnd {
    /// Fewer are wanted.
    Surplus,
    /// It had ended by itself, was outdated, or could not be handed out.
    Useless,
    /// Its image has changed or goes.
    Image,
    /// The host is short of memory.
    Memory,
    /// A session needed its place.
    Place,
    /// The daemon has ended.
    Shutdown,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Image {
    image: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Take {
    image: String,
    result: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("sandkasten"),
            requests: Family::default(),
            creates: Histograms::new_with_constructor(histogram),
            create_failures: Family::default(),
            execs: Histograms::new_with_constructor(histogram),
            exec_failures: Counter::default(),
            ends: Family::default(),
            teardowns: histogram(),
            pool_takes: Family::default(),
            pool_ended: Family::default(),
            pool_failures: Family::default(),
            sessions: Gauge::default(),
            creating: Gauge::default(),
            waiting: Gauge::default(),
            pool_idle: Family::default(),
            pool_wanted: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        let version: Vec<_> = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "What runs", prometheus_client::metrics::info::Info::new(version));
        registry.register("http_requests", "Answers of the API, by route", self.requests.clone());
        let unit = || Unit::Seconds;
        registry.register_with_unit("create", "Creates that made a session", unit(), self.creates.clone());
        registry.register("create_failures", "Creates that made none", self.create_failures.clone());
        registry.register_with_unit(
            "exec",
            "Execs that came to an end, and why they did",
            unit(),
            self.execs.clone(),
        );
        registry.register("exec_failures", "Execs that could not be run", self.exec_failures.clone());
        registry.register("session_ends", "Sessions that ended", self.ends.clone());
        registry.register_with_unit(
            "teardown",
            "From when a sandbox was to end until it was gone",
            unit(),
            self.teardowns.clone(),
        );
        registry.register("pool_takes", "Creates that the pool was asked for", self.pool_takes.clone());
        registry.register("pool_ended", "Idle sandboxes that nobody got", self.pool_ended.clone());
        registry.register("pool_failures", "Idle sandboxes that were not made", self.pool_failures.clone());
        registry.register("sessions", "Live sessions", self.sessions.clone());
        registry.register("creates_under_way", "Creates that are under way", self.creating.clone());
        registry.register("creates_waiting", "Creates that wait for their turn", self.waiting.clone());
        registry.register("pool_idle", "Sandboxes that are ready", self.pool_idle.clone());
        registry.register("pool_wanted", "Sandboxes that are to be ready", self.pool_wanted.clone());
    }

    /// Counts an answer. `route` is the path as the table of routes has it.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16) {
        let request = Request { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&request).inc();
    }

    pub(crate) fn created(&self, source: &'static str, took: Duration) {
        self.creates.get_or_create(&Source { source }).observe(took.as_secs_f64());
    }

    pub(crate) fn create_failed(&self, why: CreateFailure) {
        let reason = match why {
            CreateFailure::Place => "place",
            CreateFailure::Turn => "turn",
            CreateFailure::Memory => "memory",
            CreateFailure::Other => "other",
        };
        self.create_failures.get_or_create(&Why { reason }).inc();
    }

    pub(crate) fn exec_ended(&self, reason: &'static str, took: Duration) {
        self.execs.get_or_create(&Why { reason }).observe(took.as_secs_f64());
    }

    pub(crate) fn exec_failed(&self) {
        self.exec_failures.inc();
    }

    pub(crate) fn session_ended(&self, status: &'static str) {
        self.ends.get_or_create(&Status { status }).inc();
    }

    pub(crate) fn torn_down(&self, took: Duration) {
        self.teardowns.observe(took.as_secs_f64());
    }

    /// Counts a create of an image that the pool has, and whether one was ready.
    pub(crate) fn pool_asked(&self, image: &str, was_ready: bool) {
        let result = if was_ready { "hit" } else { "miss" };
        self.pool_takes.get_or_create(&Take { image: image.to_owned(), result }).inc();
    }

    pub(crate) fn pool_ended(&self, why: PoolEnd) {
        let reason = match why {
            PoolEnd::Surplus => "surplus",
            PoolEnd::Useless => "useless",
            PoolEnd::Image => "image",
            PoolEnd::Memory => "memory",
            PoolEnd::Place => "place",
            PoolEnd::Shutdown => "shutdown",
        };
        self.pool_ended.get_or_create(&Why { reason }).inc();
    }

    pub(crate) fn pool_failed(&self, image: &str) {
        self.pool_failures.get_or_create(&Image { image: image.to_owned() }).inc();
    }

    /// Writes everything, in the text format of OpenMetrics.
    ///
    /// # Errors
    /// The formatter's, which a string never has.
    pub(crate) fn render(&self, now: &Standing) -> Result<String, fmt::Error> {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.sessions.set(count(now.sessions));
        self.creating.set(count(now.creating));
        self.waiting.set(count(now.waiting));
        for (image, idle, wanted) in &now.pool {
            let image = Image { image: image.clone() };
            self.pool_idle.get_or_create(&image).set(count(*idle));
            self.pool_wanted.get_or_create(&image).set(count(*wanted));
        }
        let mut written = String::new();
        text::encode(&mut written, &self.registry)?;
        Ok(written)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CreateFailure, Metrics, PoolEnd, Standing};

    #[test]
    fn everything_that_was_recorded_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.answered("POST", "/v1/sessions", 201);
        metrics.answered("POST", "/v1/sessions", 201);
        metrics.created("pool", Duration::from_micros(900));
        metrics.create_failed(CreateFailure::Memory);
        metrics.exec_ended("oom", Duration::from_secs(2));
        metrics.exec_failed();
        metrics.session_ended("expired");
        metrics.torn_down(Duration::from_millis(3));
        metrics.pool_asked("host", true);
        metrics.pool_asked("host", false);
        metrics.pool_ended(PoolEnd::Image);
        metrics.pool_failed("host");
        let pool = vec![("host".to_owned(), 2, 3)];
        let text = metrics.render(&Standing { sessions: 7, creating: 1, waiting: 4, pool }).expect("text");
        for line in [
            r#"sandkasten_http_requests_total{method="POST",route="/v1/sessions",status="201"} 2"#,
            r#"sandkasten_create_seconds_count{source="pool"} 1"#,
            r#"sandkasten_create_seconds_bucket{le="0.001",source="pool"} 1"#,
            r#"sandkasten_create_failures_total{reason="memory"} 1"#,
            r#"sandkasten_exec_seconds_sum{reason="oom"} 2.0"#,
            "sandkasten_exec_failures_total 1",
            r#"sandkasten_session_ends_total{status="expired"} 1"#,
            "sandkasten_teardown_seconds_count 1",
            r#"sandkasten_pool_takes_total{image="host",result="hit"} 1"#,
            r#"sandkasten_pool_takes_total{image="host",result="miss"} 1"#,
            r#"sandkasten_pool_ended_total{reason="image"} 1"#,
            r#"sandkasten_pool_failures_total{image="host"} 1"#,
            "sandkasten_sessions 7",
            "sandkasten_creates_under_way 1",
            "sandkasten_creates_waiting 4",
            r#"sandkasten_pool_idle{image="host"} 2"#,
            r#"sandkasten_pool_wanted{image="host"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("sandkasten_build_info{version="), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
