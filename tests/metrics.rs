//! Every metric that is documented, as a recorder gets it.

#[path = "support/capture.rs"]
mod capture;
#[path = "support/world.rs"]
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use callboard::{
    Backoff, CircuitBreaker, Limits, RestartPolicy, Secret, ServerSpec, Session, telemetry::metric,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use world::{World, await_status, eventually};

const LONG: Duration = Duration::from_secs(30);

/// The names of a metric's labels, its kind before them.
type Labels = (String, BTreeSet<String>);

/// What stands in the table of the module `telemetry`, in the words of Prometheus.
fn documented() -> BTreeMap<String, Labels> {
    let text = include_str!("../src/telemetry.rs").split("# Metrics").nth(1).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        let labels = cells[2].split('`').skip(1).step_by(2).map(written).collect();
        (written(cells[0].trim_end_matches(['`', ' '])), (cells[1].trim().to_owned(), labels))
    })
    .collect()
}

fn written(name: &str) -> String {
    name.replace('.', "_")
}

/// One line of a page.
#[derive(Debug)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Series {
    fn read(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
        let labels = labels.map(|label| {
            let (key, value) = label.split_once("=\"").unwrap();
            (key.to_owned(), value.trim_end_matches('"').to_owned())
        });
        let (name, labels) = (name.to_owned(), labels.collect());
        Self { name, labels, value: value.parse().unwrap() }
    }
}

/// What a recorder has at one moment.
struct Page {
    text: String,
    series: Vec<Series>,
}

impl Page {
    fn of(recorder: &PrometheusHandle) -> Self {
        let text = recorder.render();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self { series: lines.map(Series::read).collect(), text: text.clone() }
    }

    /// The series of a metric that have these labels.
    fn all<'a>(&'a self, name: &str, labels: &'a [(&str, &str)]) -> Vec<&'a Series> {
        let name = written(name);
        let fits = move |one: &&Series| {
            let has = |(key, value): &(&str, &str)| {
                one.labels.get(&written(key)).is_some_and(|found| found == value)
            };
            one.name == name && labels.iter().all(has)
        };
        self.series.iter().filter(fits).collect()
    }

    /// Their sum; what nothing is told of is not zero.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let all = self.all(name, labels);
        assert!(!all.is_empty(), "no {name} with {labels:?}: {}", self.text);
        all.iter().map(|one| one.value).sum()
    }

    fn is(&self, name: &str, labels: &[(&str, &str)], value: f64) -> bool {
        let all = self.all(name, labels);
        !all.is_empty() && all.iter().map(|one| one.value).sum::<f64>() == value
    }

    fn values(&self, name: &str, label: &str) -> BTreeSet<String> {
        let all = self.all(name, &[]);
        all.iter().filter_map(|one| one.labels.get(&written(label)).cloned()).collect()
    }

    /// Every metric with its kind, and the names of all labels that its series have.
    fn shown(&self) -> BTreeMap<String, Labels> {
        let kinds = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let labels = |name: &str| {
            let all = self.series.iter().filter(|one| {
                let part = one.name.strip_prefix(name);
                part.is_some_and(|part| ["", "_bucket", "_count", "_sum"].contains(&part))
            });
            let names = all.flat_map(|one| one.labels.keys().cloned());
            // The bound of a bucket is the exporter's.
            names.filter(|label| label != "le").collect()
        };
        kinds
            .map(|line| {
                let (name, kind) = line.split_once(' ').unwrap();
                (name.to_owned(), (kind.to_owned(), labels(name)))
            })
            .collect()
    }
}

fn specs(world: &World) -> [ServerSpec; 3] {
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
    let breaker = CircuitBreaker::default().threshold(1).recovery(Duration::from_secs(3600));
    let dies = ServerSpec::new("dies", world.hostile("exit-after").args(["--count", "1"]));
    let busy = ServerSpec::new("busy", world.script("puppet.py"));
    let gone = ServerSpec::new("gone", world.stdio("/no/such/program"));
    [
        dies.restart(RestartPolicy::on_failure().backoff(backoff)).circuit_breaker(breaker),
        busy.limits(Limits::default().with_max_concurrent(1)),
        gone.restart(RestartPolicy::never()),
    ]
}

/// A loss with a call in flight, which opens a breaker, and a restart.
async fn lose(session: &Session, recorder: &PrometheusHandle) {
    let are = |closed, open: Option<f64>| {
        let (page, server) = (Page::of(recorder), ("server", "dies"));
        let is = |state, value| page.is(metric::BREAKERS, &[server, ("state", state)], value);
        is("closed", closed) && open.is_none_or(|open| is("open", open))
    };
    assert!(are(1.0, None), "{}", recorder.render());
    let echo = || session.call("dies.echo", json!({ "text": "x" }));
    assert_eq!(echo().await.unwrap_err().kind(), "transport_down");
    assert_eq!(echo().await.unwrap_err().kind(), "circuit_open");
    eventually(LONG, "it is told that the breaker is open", || are(0.0, Some(1.0))).await;
    let dies = session.server("dies").unwrap();
    await_status(&dies, LONG, |status| status.is_ready() && status.epoch == 2).await;
}

/// A call that waits for another, one that is dropped, and results good and bad.
async fn queue(world: &World, session: &Session, recorder: &PrometheusHandle) {
    let file = world.folder().join("go");
    let wait = || tokio::spawn(session.call("busy.wait", json!({ "file": file })));
    let both = [wait(), wait()];
    let (server, tool) = (("server", "busy"), ("tool", "wait"));
    eventually(LONG, "one waits for the other", || {
        let page = Page::of(recorder);
        page.is(metric::CALLS_QUEUED, &[server], 1.0)
            && page.is(metric::CALLS_RUNNING, &[server, tool], 2.0)
    })
    .await;
    std::fs::write(&file, "").unwrap();
    for call in both {
        call.await.unwrap().unwrap();
    }
    let never = session.call("busy.wait", json!({ "file": world.folder().join("never") }));
    let never = tokio::spawn(never);
    eventually(LONG, "it is on its way", || {
        Page::of(recorder).is(metric::CALLS_RUNNING, &[server, tool], 1.0)
    })
    .await;
    never.abort();
    never.await.unwrap_err();
    let failed = json!({ "result": r#"{"content":[],"isError":true}"# });
    assert!(session.call("busy.say", failed).await.unwrap().is_error());
}

/// Calls by the way in which they ended, and what else there is to count.
fn check_counts(page: &Page) {
    for (server, tool, outcome, error) in [
        ("dies", "echo", "failed", "transport_down"),
        ("dies", "echo", "failed", "circuit_open"),
        ("busy", "say", "tool_error", "tool_error"),
        ("", "", "failed", "unknown_tool"),
    ] {
        let calls =
            [("server", server), ("tool", tool), ("outcome", outcome), ("error.type", error)];
        assert_eq!(page.sum(metric::CALLS, &calls), 1.0, "{calls:?}");
    }
    let waited = [("server", "busy"), ("tool", "wait")];
    let ended = |outcome| page.sum(metric::CALLS, &[waited[0], waited[1], ("outcome", outcome)]);
    assert_eq!((ended("ok"), ended("cancelled")), (2.0, 1.0));
    let dies = ("server", "dies");
    assert_eq!(page.sum(metric::RESTARTS, &[dies, ("reason", "exited")]), 1.0);
    assert_eq!(page.sum(metric::EPOCHS, &[dies]), 2.0);
    let lost = [dies, ("error.type", "transport_down")];
    assert_eq!(page.sum("mcp_client_session_duration_count", &lost), 1.0);
    assert_eq!(page.sum("mcp_client_session_duration_count", &[dies]), 2.0);
    assert_eq!(page.sum("callboard_stop_duration_count", &[dies]), 2.0);
    let gone = [("server", "gone"), ("outcome", "failed")];
    assert_eq!(page.sum("callboard_start_duration_count", &gone), 1.0);
    for direction in ["sent", "received"] {
        assert!(page.sum(metric::BYTES, &[dies, ("direction", direction)]) > 100.0, "{direction}");
    }
}

/// What has to be zero at the end is told as zero, and not left out.
fn check_zeroes(page: &Page) {
    let tools = [("dies", "echo"), ("busy", "wait"), ("busy", "say"), ("", "")];
    for (server, tool) in tools {
        let of = [("server", server), ("tool", tool)];
        assert_eq!(page.sum(metric::CALLS_RUNNING, &of), 0.0, "{of:?}");
        let (started, ended) = (page.sum(metric::CALLS_STARTED, &of), page.sum(metric::CALLS, &of));
        assert_eq!(started, ended, "{of:?}");
    }
    for server in ["dies", "busy", "gone"] {
        assert_eq!(page.sum(metric::CALLS_QUEUED, &[("server", server)]), 0.0, "{server}");
    }
    for state in ["closed", "open"] {
        let of = [("server", "dies"), ("state", state)];
        assert_eq!(page.sum(metric::BREAKERS, &of), 0.0, "{state}");
    }
    assert_eq!(page.sum(metric::LEAKED, &[]), 0.0);
}

/// Calls a tool that its server named as a secret which it was given.
async fn names_a_secret(world: &World) {
    let listed = world.folder().join("listed");
    let tools = r#"{"tools":[{"name":"s3cret-name","inputSchema":{"type":"object"}}]}"#;
    std::fs::write(&listed, tools).unwrap();
    let stdio = world.script("puppet.py").arg("--list").arg(listed);
    let spec = ServerSpec::new("a", stdio.env_from("KEY", Secret::literal("s3cret-name")));
    let session = world.open([spec]).await;
    session.call("a.s3cret-name", json!({ "file": "/" })).await.unwrap();
    let snapshot = serde_json::to_string(&world.runtime.snapshot()).unwrap();
    assert!(snapshot.contains("[redacted]") && !snapshot.contains("s3cret-name"), "{snapshot}");
    session.close().await;
}

#[test]
fn every_metric_is_told_with_the_labels_that_are_documented() {
    // Before the first session, for that is when the library registers what it tells.
    let recorder = PrometheusBuilder::new().set_buckets(&metric::BUCKETS).unwrap().build_recorder();
    let page = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    capture::begin();
    world::run(async |world| {
        assert_eq!(Page::of(&page).sum(metric::LEAKED, &[]), 0.0, "before there is a session");
        let session = world.open(specs(&world)).await;
        lose(&session, &page).await;
        queue(&world, &session, &page).await;
        session.call("busy.nothing", json!({})).await.unwrap_err();
        session.close().await;
        drop(session);
        let open = [("server", "dies"), ("state", "open")];
        let closed = || Page::of(&page).is(metric::BREAKERS, &open, 0.0);
        eventually(LONG, "nothing holds the breaker any more", closed).await;

        let page = Page::of(&page);
        assert_eq!(page.shown(), documented(), "{}", page.text);
        check_counts(&page);
        check_zeroes(&page);
        // One value in both, whoever looks from the one to the other.
        let timed = page.values("mcp_client_operation_duration_count", "gen_ai.tool.name");
        let traced = capture::spans("call");
        let traced = traced.iter().map(|(_, call)| call.get("gen_ai.tool.name").to_owned());
        // Calls of tools that nobody has are timed, and have no span.
        let named: BTreeSet<String> = timed.into_iter().filter(|id| !id.is_empty()).collect();
        assert_eq!(named, traced.collect());
        let wanted = ["busy.say", "busy.wait", "dies.echo"];
        assert_eq!(named, BTreeSet::from(wanted.map(str::to_owned)));
        names_a_secret(&world).await;
    });
    assert!(!page.render().contains("s3cret-name"), "{}", page.render());
    assert!(page.render().contains("[redacted]"), "{}", page.render());
}
