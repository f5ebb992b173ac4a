//! One life, drawn from a seed: what is declared, what happens, and what has to hold.

#[path = "simulated/seen.rs"]
mod seen;

use std::{collections::HashMap, fmt::Write as _, future::pending, pin::pin, time::Duration};

use callboard::{
    Backoff, CallError, CallOptions, CircuitBreaker, Delivery, DownCause, Event, Events, Limits,
    Output, Phase, RateLimit, RestartPolicy, RetryPolicy, Runtime, ServerSpec, Session, WhenDown,
    testing::{self, Era, Faults},
};
use fastrand::Rng;
use seen::{Books, Chain, Statuses};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Longer than any limit that is drawn, all retries and restarts included.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// What a timer of tokio may be late by.
const TICK: Duration = Duration::from_millis(2);

/// What a life is drawn from, and what is written down of it.
struct Life {
    random: Rng,
    began: Instant,
    course: Vec<String>,
    books: Books,
}

/// One server: what plays it, and what it was declared as.
struct Played {
    name: &'static str,
    server: testing::Server,
    spec: ServerSpec,
    /// Whether every link that comes after the first is a restart.
    eager: bool,
}

/// A call that is to be made.
struct Plan {
    number: u64,
    server: &'static str,
    at: Duration,
    size: usize,
    takes: Duration,
    idle: Option<Duration>,
    total: Duration,
    fate: Fate,
}

/// What its host does with it.
#[derive(Clone, Copy)]
enum Fate {
    Await,
    Drop(Duration),
    Cancel(Duration),
}

/// How a call ended.
struct Ended {
    number: u64,
    server: &'static str,
    took: Duration,
    /// None if it was dropped.
    outcome: Option<Result<Output, CallError>>,
}

/// Lives one life; panics if something does not hold. The course of it is the same for the same seed.
pub(crate) fn simulate(seed: u64) -> Vec<String> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let course = tokio.block_on(async {
        let life = Life {
            random: Rng::with_seed(seed),
            began: Instant::now(),
            course: Vec::new(),
            books: Books::default(),
        };
        timeout(FOR_EVER, Box::pin(life.live())).await.expect("the life never ends")
    });
    assert_eq!(tokio.metrics().num_alive_tasks(), 0, "tasks are left");
    course
}

impl Life {
    async fn live(mut self) -> Vec<String> {
        let runtime = Runtime::start().await;
        let played: Vec<_> = ["a", "b"][..1 + usize::from(self.random.u32(..4) == 0)]
            .iter()
            .map(|name| self.played(name))
            .collect();
        let specs = played.iter().map(|one| one.spec.clone());
        let session = runtime.session("life").servers(specs).open().await.unwrap();
        let mut events = session.events();
        let plans = self.plans(&played);
        let mut calls = JoinSet::new();
        for plan in plans {
            calls.spawn(plan.make(session.clone()));
        }
        let told = self.meddle(&session, &played, &mut calls, &mut events).await;
        self.adds_up(&runtime);
        session.close().await;
        let mut chain = Chain::default();
        told.iter().for_each(|event| chain.take(event));
        while let Some(event) = events.next().await {
            chain.take(&event);
        }
        for one in &played {
            one.server.stop().await;
            chain.ends_well(one, &session);
        }
        runtime.shutdown().await;
        let report = runtime.leak_report();
        assert!(report.is_empty() && report.crashes == 0, "left: {report:?}");
        self.course.push(format!("{:?}", self.began.elapsed()));
        self.course
    }

    /// A server and how it is declared.
    fn played(&mut self, name: &'static str) -> Played {
        let random = &mut self.random;
        let era = if random.bool() { Era::Modern } else { Era::Legacy };
        let server = testing::Server::speaking(era).tool("act", |arguments| async move {
            sleep(Duration::from_millis(arguments["takes"].as_u64().unwrap_or_default())).await;
            Ok(arguments["number"].clone())
        });
        let server = server.faults(Faults::chaos(random.u64(..)));
        let spec = ServerSpec::new(name, server.transport())
            .init_timeout(Duration::from_secs(random.u64(5..40)))
            .restart(restart_policy(random))
            .limits(limits(random))
            .call_options(options(random));
        let (spec, eager) = match random.u32(..8) {
            0 => (spec.lazy(), false),
            1 => (spec.per_call(), false),
            2 => (spec.stop_when_idle(Duration::from_secs(random.u64(1..20))), false),
            _ => (spec, true),
        };
        let spec = match random.u32(..8) {
            0 => spec.circuit_breaker(CircuitBreaker::default().threshold(random.u32(1..5))),
            1 => spec.rate_limit(RateLimit::new(random.u32(1..5), Duration::from_secs(1))),
            _ => spec,
        };
        Played { name, server, spec, eager }
    }

    fn plans(&mut self, played: &[Played]) -> Vec<Plan> {
        let random = &mut self.random;
        let span = Duration::from_secs(random.u64(1..120));
        let count = random.u64(1..10);
        let plan = |number| {
            let at = span.mul_f64(random.f64());
            let server = played[random.usize(..played.len())].name;
            let size = if random.u32(..24) == 0 { random.usize(..120_000) } else { 10 };
            let takes = [0, 0, 5, random.u64(..8_000)][random.usize(..4)];
            let total = Duration::from_millis(random.u64(1..60_000));
            let idle = random.bool().then(|| Duration::from_millis(random.u64(1..20_000)));
            let moment = Duration::from_millis([0, 1, random.u64(..20_000)][random.usize(..3)]);
            let fate = match random.u32(..6) {
                0 => Fate::Drop(moment),
                1 => Fate::Cancel(moment),
                _ => Fate::Await,
            };
            let takes = Duration::from_millis(takes);
            Plan { number, server, at, size, takes, idle, total, fate }
        };
        (0..count).map(plan).collect()
    }

    /// Lets the calls end, and disturbs them; returns the events so far.
    async fn meddle(
        &mut self,
        session: &Session,
        played: &[Played],
        calls: &mut JoinSet<Ended>,
        events: &mut Events,
    ) -> Vec<Event> {
        let (mut told, mut ended) = (Vec::new(), HashMap::new());
        let mut statuses = Statuses::new(session);
        let mut closing = (self.random.u32(..6) == 0).then(|| self.random.u64(..60));
        let mut left = self.random.u32(..4);
        while !calls.is_empty() {
            let pause = Duration::from_millis(self.random.u64(1..20_000));
            let stir = pin!(sleep(pause));
            tokio::select! {
                biased;
                Some(call) = calls.join_next() => {
                    let call = call.unwrap();
                    self.check(session, played, &call);
                    ended.insert(call.number, call);
                }
                Some(event) = events.next() => told.push(event),
                () = statuses.changed() => {}
                () = stir => {
                    if let Some(at) = closing && self.began.elapsed().as_secs() >= at {
                        closing = None;
                        session.close().await;
                    }
                    if left > 0 {
                        left -= 1;
                        self.disturb(session, played).await;
                    }
                }
            }
            statuses.look();
        }
        self.recovers(session, played).await;
        for one in played {
            deliveries_are_true(one, &ended);
        }
        told
    }

    /// What is counted, once no call is on its way.
    fn adds_up(&self, runtime: &Runtime) {
        let snapshot = runtime.snapshot();
        self.books.agree(snapshot.calls);
        for server in snapshot.sessions.iter().flat_map(|session| &session.servers) {
            let traffic = &server.traffic;
            assert_eq!((traffic.in_flight, traffic.bytes_in_flight), (0, 0), "{traffic:?}");
        }
    }

    async fn disturb(&mut self, session: &Session, played: &[Played]) {
        let one = &played[self.random.usize(..played.len())];
        match self.random.u32(..3) {
            0 => session.server(one.name).unwrap().restart(),
            1 => one.server.stop().await,
            _ => one.server.start(),
        }
    }

    /// How one call ended, as soon as it has.
    fn check(&mut self, session: &Session, played: &[Played], call: &Ended) {
        let mut line = format!("{:?} {} {:?}", self.began.elapsed(), call.number, call.took);
        self.books.note(call.outcome.as_ref());
        match &call.outcome {
            None => line.push_str(" dropped"),
            Some(Ok(output)) => {
                assert_eq!(output.text(), call.number.to_string(), "another call's answer");
                line.push_str(" ok");
            }
            Some(Err(error)) => {
                write!(line, " {} {:?} {error}", error.kind(), error.delivery()).unwrap();
                no_lost_link_is_ready(session, played, error);
            }
        }
        self.course.push(line);
    }

    /// Whatever has happened, a server that works again, and is started by hand, is had back.
    async fn recovers(&mut self, session: &Session, played: &[Played]) {
        for one in played {
            let server = session.server(one.name).unwrap();
            if server.status().phase == Phase::Stopped || server.status().phase == Phase::Stopping {
                return;
            }
            one.server.faults(Faults::seed(0));
            one.server.stop().await;
            one.server.start();
            server.restart();
            // One that was just starting may be up once more before it is stopped.
            while let Err(error) = server.rediscover().await {
                let phase = server.status().phase;
                assert_ne!(phase, Phase::Failed, "{} does not recover: {error}", one.name);
            }
            let call = session.call(format!("{}.act", one.name), json!({ "number": 1 }));
            let call = call.with_options(&CallOptions::default().when_down(WhenDown::Wait));
            let output = call.total_timeout(FOR_EVER / 2).await;
            self.books.note(Some(&output));
            match output {
                Ok(output) => assert_eq!(output.text(), "1"),
                Err(CallError::CircuitOpen { .. }) => {}
                Err(error) => panic!("{} does not recover: {error}", one.name),
            }
        }
    }
}

fn restart_policy(random: &mut Rng) -> RestartPolicy {
    let first = Duration::from_millis(random.u64(..2_000));
    let backoff = Backoff::new(first, first + Duration::from_millis(random.u64(..10_000)));
    let policy = match random.u32(..5) {
        0 => RestartPolicy::never(),
        1 => RestartPolicy::always(),
        _ => RestartPolicy::on_failure(),
    };
    policy.backoff(backoff).max_restarts(random.u32(..20), Duration::from_secs(60))
}

fn limits(random: &mut Rng) -> Limits {
    let limits = Limits::default().with_max_pages(5);
    let limits = if random.bool() { limits } else { limits.with_max_calls(random.usize(1..10)) };
    match random.u32(..4) {
        0 => limits.with_max_concurrent(random.usize(1..4)),
        1 => limits.with_max_call_bytes(random.usize(2_000..150_000)),
        _ => limits,
    }
}

fn options(random: &mut Rng) -> CallOptions {
    let options = CallOptions::default();
    let options = match random.u32(..3) {
        0 => options.retry(RetryPolicy::max_attempts(random.u32(1..4))),
        _ => options,
    };
    if random.u32(..3) == 0 { options.when_down(WhenDown::Wait) } else { options }
}

impl Plan {
    /// Makes the call, and tells how it ended.
    async fn make(self, session: Session) -> Ended {
        sleep(self.at).await;
        let arguments = json!({
            "number": self.number, "takes": self.takes.as_millis() as u64,
            "weight": "x".repeat(self.size),
        });
        let call = session.call(format!("{}.act", self.server), arguments);
        let call = match self.idle {
            Some(limit) => call.idle_timeout(limit),
            None => call,
        };
        let call = call.total_timeout(self.total);
        let (number, began) = (self.number, Instant::now());
        let outcome = match self.fate {
            Fate::Await => Some(call.await),
            Fate::Drop(after) => timeout(after, call).await.ok(),
            Fate::Cancel(after) => {
                let token = CancellationToken::new();
                let call = call.cancel_on(token.clone());
                let cancel = async {
                    sleep(after).await;
                    token.cancel();
                    pending::<()>().await;
                };
                let outcome = tokio::select! {
                    biased;
                    outcome = call => outcome,
                    () = cancel => unreachable!(),
                };
                assert!(began.elapsed() <= after + TICK, "a cancelled call goes on");
                Some(outcome)
            }
        };
        let took = began.elapsed();
        assert!(took <= self.total + TICK, "call {number} took {took:?} of {:?}", self.total);
        Ended { number, server: self.server, took, outcome }
    }
}

/// Who lost a call with its link does not see that link as Ready.
fn no_lost_link_is_ready(session: &Session, played: &[Played], error: &CallError) {
    let CallError::TransportDown { server, epoch, reason, .. } = error else { return };
    let alone = matches!(reason.kind(), DownCause::Http(_));
    let one = played.iter().find(|one| one.name == server).unwrap();
    let status = session.server(one.name).unwrap().status();
    assert!(alone || !status.is_ready() || status.epoch > *epoch, "{status:?} after {error}");
}

/// What callers were told of their calls, next to what the server did.
fn deliveries_are_true(one: &Played, ended: &HashMap<u64, Ended>) {
    let mut acted: HashMap<u64, usize> = HashMap::new();
    for (_, arguments) in one.server.calls() {
        if arguments.get("takes").is_some() {
            *acted.entry(arguments["number"].as_u64().unwrap()).or_default() += 1;
        }
    }
    for (number, times) in &acted {
        assert!(*times <= 1, "call {number} was acted on {times} times");
        if let Some(Err(error)) = &ended[number].outcome {
            let delivery = error.delivery();
            assert_ne!(delivery, Delivery::NotSent, "call {number} was acted on: {error:?}");
        }
    }
    let answered = ended.values().filter(|call| matches!(call.outcome, Some(Ok(_))));
    for call in answered.filter(|call| call.server == one.name) {
        assert!(acted.contains_key(&call.number), "nobody acted on call {}", call.number);
    }
}
