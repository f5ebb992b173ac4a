//! Whoever is told of something may ask for more at once: nothing is told while a lock is held that an
//! answer takes.

#[path = "support/world.rs"]
mod world;

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use callboard::{BreakerState, CircuitBreaker, Runtime, ServerSpec, Session};
use serde_json::json;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};
use world::World;

const LONG: Duration = Duration::from_secs(60);

/// Asks for all that is known of its server whenever it is told of anything.
struct Curious {
    asks: Mutex<Option<(Runtime, Session)>>,
    /// What it was told of by this crate, and how the breaker stood then.
    seen: Mutex<Vec<(String, Option<BreakerState>)>>,
}

impl<S: Subscriber> Layer<S> for &'static Curious {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target();
        let Some((runtime, session)) = self.asks.lock().unwrap().clone() else { return };
        if !target.starts_with("callboard::") {
            return;
        }
        // On another thread: this one could not say that it does not come back.
        let (answer, answered) = mpsc::channel();
        std::thread::spawn(move || {
            let server = session.server("a").unwrap();
            drop((runtime.snapshot(), server.record(), server.stderr_tail(), session.tools()));
            answer.send(server.status().breaker)
        });
        let breaker = answered.recv_timeout(LONG / 3).expect("an answer while it is told of");
        self.seen.lock().unwrap().push((target.to_owned(), breaker));
    }
}

async fn open(world: &World) -> Session {
    let breaker = CircuitBreaker::default().threshold(1);
    let spec = ServerSpec::new("a", world.script("puppet.py")).circuit_breaker(breaker);
    world.runtime.session("s").server(spec.required()).open().await.unwrap()
}

#[test]
fn who_is_told_of_anything_may_ask_for_everything() {
    static CURIOUS: Curious = Curious { asks: Mutex::new(None), seen: Mutex::new(Vec::new()) };
    world::run_on_one_thread(LONG, async |world| {
        let _guard = tracing_subscriber::registry().with(&CURIOUS).set_default();
        let session = open(&world).await;
        *CURIOUS.asks.lock().unwrap() = Some((world.runtime.clone(), session.clone()));
        // The server asks, and is answered.
        session.call("a.ask", json!({ "times": 2, "size": 5 })).await.unwrap();
        let hang = session.call("a.wait", json!({ "file": "/none" }));
        hang.idle_timeout(Duration::from_millis(20)).await.unwrap_err();
        session.server("a").unwrap().restart();
        session.server("a").unwrap().ready().await.unwrap();
        *CURIOUS.asks.lock().unwrap() = None;
        let seen = CURIOUS.seen.lock().unwrap().clone();
        let told = |of: &str| seen.iter().any(|(target, _)| target == of);
        for target in ["call", "status", "wire"].map(|name| format!("callboard::{name}")) {
            assert!(told(&target), "{target}: {seen:?}");
        }
        let open = |(_, state): &(String, _)| matches!(state, Some(BreakerState::Open { .. }));
        assert!(seen.iter().any(open), "{seen:?}");
    });
}
