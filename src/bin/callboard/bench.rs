//! `callboard bench`.

pub(crate) mod picture;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use callboard::{CallError, Output, Tool};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    Context,
    args::{self, take_url},
    call,
    console::{Busy, Tone},
    exit::{Exit, Failure, exit_of},
    open,
    table::Columns,
    values::Given,
};

/// The shares of the calls whose latencies are shown.
const SHOWN: [(&str, f64); 6] =
    [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// What many calls came to.
struct Tally {
    /// Of the calls that were answered, in microseconds.
    latency: Histogram<u64>,
    /// How many ended how: `ok`, `tool_error`, or the kind of an error.
    outcomes: BTreeMap<&'static str, u64>,
    worst: Exit,
    example: Option<CallError>,
}

impl Tally {
    fn new() -> Result<Self, Failure> {
        // Three digits, whatever the range.
        let latency = Histogram::new(3).map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self { latency, outcomes: BTreeMap::new(), worst: Exit::Done, example: None })
    }

    fn add(&mut self, outcome: Result<Output, CallError>, took: Duration) {
        let (name, exit) = match &outcome {
            Ok(output) if output.is_error() => ("tool_error", Exit::Failed),
            Ok(_) => ("ok", Exit::Done),
            Err(error) => (error.kind(), exit_of(error)),
        };
        *self.outcomes.entry(name).or_default() += 1;
        self.worst = self.worst.max(exit);
        match outcome {
            Ok(_) => {
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                // It grows with what it holds, and no call takes that long.
                self.latency.record(micros).unwrap_or_default();
            }
            Err(error) => drop(self.example.get_or_insert(error)),
        }
    }

    fn join(&mut self, other: Self) -> Result<(), Failure> {
        let joined = self.latency.add(other.latency);
        joined.map_err(|error| Failure::usage(error.to_string()))?;
        for (name, count) in other.outcomes {
            *self.outcomes.entry(name).or_default() += count;
        }
        self.worst = self.worst.max(other.worst);
        self.example = self.example.take().or(other.example);
        Ok(())
    }
}

pub(crate) async fn run(context: &Context, args: args::Bench) -> Result<Exit, Failure> {
    let mut words = args.words;
    let url = take_url(&mut words, 0);
    let wanted = if words.is_empty() { None } else { Some(words.remove(0)) };
    let given = Given::read(&words).await?;
    let opened = open::open(context, &args.servers, url, wanted.as_deref()).await?;
    let opened = opened.or_failure(context)?;
    let tool = call::find(&opened.session, wanted.as_deref())?;
    opened.tell(context);
    let tool = tool.with_options(&call::options(&args.limits));
    let arguments = given.arguments(&tool.input_schema())?;
    // What a first call sets up is no latency of the others.
    for _ in 0..args.warm_up {
        tool.call(arguments.clone()).await?;
    }
    let busy = Arc::new(context.console.counting(tool.id().to_owned(), args.number));
    let began = Instant::now();
    let tally = measure(&tool, &arguments, (args.number, args.concurrency), &busy).await?;
    let took = began.elapsed();
    drop(busy);
    if context.console.json {
        context.console.document(&document(&tool, &args.concurrency, &tally, took))?;
    } else {
        show(context, &tool, args.concurrency, (&tally, took))?;
    }
    Ok(tally.worst)
}

/// Makes this many calls, some of them at a time.
async fn measure(
    tool: &Tool,
    arguments: &Map<String, Value>,
    (number, concurrency): (u64, usize),
    busy: &Arc<Busy>,
) -> Result<Tally, Failure> {
    let begun = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..concurrency {
        let (tool, arguments, begun) = (tool.clone(), arguments.clone(), Arc::clone(&begun));
        let (busy, mut tally) = (Arc::clone(busy), Tally::new()?);
        callers.spawn(async move {
            while begun.fetch_add(1, Ordering::Relaxed) < number {
                let began = Instant::now();
                let outcome = tool.call(arguments.clone()).await;
                tally.add(outcome, began.elapsed());
                busy.0.inc(1);
            }
            tally
        });
    }
    let mut all = Tally::new()?;
    while let Some(tally) = callers.join_next().await {
        all.join(tally.map_err(|error| Failure::usage(error.to_string()))?)?;
    }
    Ok(all)
}

fn document(tool: &Tool, concurrency: &usize, tally: &Tally, took: Duration) -> Value {
    let latency: Map<_, _> = SHOWN
        .iter()
        .map(|(name, share)| ((*name).to_owned(), json!(quantile(tally, *share).as_secs_f64())))
        .collect();
    let number: u64 = tally.outcomes.values().sum();
    json!({
        "tool": tool.id(),
        "calls": number,
        "concurrency": concurrency,
        "seconds": took.as_secs_f64(),
        "calls_per_second": rate(number, took),
        "outcomes": tally.outcomes,
        "latency_seconds": latency,
    })
}

fn quantile(tally: &Tally, share: f64) -> Duration {
    Duration::from_micros(tally.latency.value_at_quantile(share))
}

fn rate(number: u64, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is a rate")]
    let number = number as f64;
    number / took.as_secs_f64().max(f64::EPSILON)
}

fn show(
    context: &Context,
    tool: &Tool,
    concurrency: usize,
    (tally, took): (&Tally, Duration),
) -> Result<(), Failure> {
    let console = &context.console;
    let number: u64 = tally.outcomes.values().sum();
    console.result(&format!(
        "{}: {number} calls, {concurrency} at a time, in {}: {:.0} a second",
        tool.id(),
        picture::time(took),
        rate(number, took),
    ))?;
    let outcomes: Vec<_> =
        tally.outcomes.iter().map(|(name, count)| format!("{name} {count}")).collect();
    console.result(&format!("{}\n", outcomes.join("   ")))?;
    if !tally.latency.is_empty() {
        let names = SHOWN.map(|(name, _)| name);
        let mut columns = Columns::new(console, &names).numbers(0..names.len());
        columns.row(SHOWN.map(|(_, share)| picture::time(quantile(tally, share))));
        console.result(&columns.text(console))?;
        console.result("")?;
        for line in picture::bars(&tally.latency, console.width()) {
            console.result(&line)?;
        }
    }
    if let Some(error) = &tally.example {
        console.note(&console.paint("one of the errors:", Tone::Faint));
        console.tell(&error.clone().into());
    }
    Ok(())
}
