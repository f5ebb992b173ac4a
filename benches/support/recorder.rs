//! A recorder of metrics that only some sessions tell: those that are opened while it listens.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use callboard::telemetry::metric::BUCKETS;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

static LISTENS: OnceLock<Arc<AtomicBool>> = OnceLock::new();

struct Selective {
    listens: Arc<AtomicBool>,
    recorder: PrometheusRecorder,
}

/// Has it listen, or not.
pub(crate) fn listen(on: bool) {
    LISTENS.get_or_init(install).store(on, Ordering::SeqCst);
}

fn install() -> Arc<AtomicBool> {
    let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).expect("there are buckets");
    let recorder = builder.build_recorder();
    let page = recorder.handle();
    let listens = Arc::new(AtomicBool::new(false));
    let selective = Selective { listens: Arc::clone(&listens), recorder };
    metrics::set_global_recorder(selective).expect("nobody else has installed one");
    // As an exporter does: what is told is summed up from time to time.
    std::thread::spawn(move || {
        loop {
            std::thread::park_timeout(Duration::from_secs(1));
            page.run_upkeep();
        }
    });
    listens
}

impl Selective {
    fn register<T>(&self, noop: impl FnOnce() -> T, register: impl FnOnce() -> T) -> T {
        if self.listens.load(Ordering::SeqCst) { register() } else { noop() }
    }
}

impl Recorder for Selective {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.register(Counter::noop, || self.recorder.register_counter(key, metadata))
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.register(Gauge::noop, || self.recorder.register_gauge(key, metadata))
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.register(Histogram::noop, || self.recorder.register_histogram(key, metadata))
    }
}
