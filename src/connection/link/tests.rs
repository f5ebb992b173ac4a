//! Real threads on the real code of one link, over and over: whoever sends while it goes down is
//! settled by its end, or finds it down; nobody is left waiting, and nothing is miscounted.

use std::{
    collections::HashSet,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use super::*;
use crate::{
    Runtime, error::DownCause, redactor::Redactor, spec::ServerSpec, telemetry::Labels,
    testing::Server, transport::memory::Memory, usage::ServerUsage,
};

const ROUNDS: usize = 1_000;
const SENDERS: usize = 8;
const EACH: usize = 30;

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// A sink that takes so many bytes, and remembers them.
struct Taking {
    got: Mutex<Vec<u8>>,
    room: usize,
}

impl Sink for Taking {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut got = self.got.lock();
        let count = bytes.len().min(self.room - got.len());
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        got.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write(parts.iter().find(|part| !part.is_empty()).map_or(&[], |part| part))
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Never, once it is full.
        if self.got.lock().len() < self.room { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Taking {
    /// The requests of which a byte was taken: each says its number, and then says it again.
    fn touched(&self) -> HashSet<RequestId> {
        let got = String::from_utf8(self.got.lock().clone()).unwrap();
        got.lines().filter_map(|line| line.split_once('<')?.0.parse().ok()).collect()
    }
}

fn send(link: &Arc<Link>) -> Result<Reply, Loss> {
    let id = link.next_id();
    link.send(Request {
        id,
        frame: &mut format!("{id}<{id}>\n").into_bytes(),
        splice: None,
        subject: Subject::default(),
        timing: Timing::default(),
        now: Instant::now(),
        admitted: true,
        cancellable: true,
        waker: None,
    })
}

/// Sends while others do, until the link is down; the replies that it was promised.
fn sends(link: &Arc<Link>, sent: &AtomicUsize) -> Vec<Reply> {
    let mut replies = Vec::new();
    for _ in 0..EACH {
        sent.fetch_add(1, Ordering::SeqCst);
        match send(link) {
            Ok(reply) => replies.push(reply),
            Err(Loss::Down { delivery, .. }) => {
                assert_eq!(delivery, Delivery::NotSent);
                break;
            }
            Err(loss) => panic!("{loss:?}"),
        }
    }
    sent.fetch_add(EACH, Ordering::SeqCst);
    replies
}

fn ends(link: &Arc<Link>, sent: &AtomicUsize, after: usize) {
    while sent.load(Ordering::SeqCst) < after {
        thread::yield_now();
    }
    link.go_down(DownReason::new(DownCause::StreamEnded));
}

fn answers(link: &Arc<Link>) {
    let mut id = 0;
    while link.down_reason().is_none() {
        id += 3;
        link.complete(&mut vec![(id % (SENDERS * EACH) as u64, b"answer".to_vec())]);
        thread::yield_now();
    }
}

fn writes(link: &Arc<Link>, sink: &Arc<Taking>) {
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sink: Arc<dyn Sink> = Arc::<Taking>::clone(sink);
    tokio.block_on(Arc::clone(link).write(sink));
}

fn party() -> Party {
    Party {
        server: "a".into(),
        epoch: 1,
        transport: "memory",
        address: String::new(),
        redactor: Redactor::default(),
    }
}

fn observed() -> Observed {
    let (memory, _listener) = Memory::pair();
    let labels = Arc::new(Labels::of(&ServerSpec::new("a", memory)));
    Observed {
        span: Span::none(),
        usage: Arc::new(ServerUsage::new(&"a".into(), &labels)),
        labels,
        tracer: None,
        redactor: Redactor::default(),
    }
}

fn round(number: usize) {
    let room = if number.is_multiple_of(2) { usize::MAX } else { 50 + number };
    let sink = Arc::new(Taking { got: Mutex::default(), room });
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let on_down: OnDown = Box::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let limits = Limits::default().with_max_calls(usize::MAX);
    let way = Way::Stream(Arc::<Taking>::clone(&sink));
    let link = Arc::new(Link::new(party(), observed(), limits, way, on_down));
    let (barrier, sent) = (Barrier::new(SENDERS + 3), AtomicUsize::new(0));
    let replies: Vec<Reply> = thread::scope(|scope| {
        let (barrier, sent, link, sink) = (&barrier, &sent, &link, &sink);
        scope.spawn(move || {
            barrier.wait();
            ends(link, sent, number * 7 % (SENDERS * EACH));
        });
        scope.spawn(move || {
            barrier.wait();
            answers(link);
        });
        scope.spawn(move || {
            barrier.wait();
            writes(link, sink);
        });
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                scope.spawn(move || {
                    barrier.wait();
                    sends(link, sent)
                })
            })
            .collect();
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    // Nobody is there any more who could settle anything.
    settled(replies, &sink.touched());
    let state = link.state.lock();
    assert_eq!((state.pending.len(), state.calls, state.bytes), (0, 0, 0), "miscounted");
    assert_eq!(told.load(Ordering::SeqCst), 1, "told once that it is down");
}

/// Every one has its outcome, and what it says of its delivery is true.
fn settled(replies: Vec<Reply>, touched: &HashSet<RequestId>) {
    let mut nobody = Context::from_waker(Waker::noop());
    for mut reply in replies {
        let id = reply.id();
        let Poll::Ready(outcome) = Pin::new(&mut reply).poll(&mut nobody) else {
            panic!("request {id} waits for ever")
        };
        let unsent = delivery_of(&outcome) == Delivery::NotSent;
        assert!(!unsent || !touched.contains(&id), "request {id} has left: {outcome:?}");
    }
}

#[test]
fn whoever_sends_while_a_link_goes_down_is_settled_or_refused() {
    (0..ROUNDS).for_each(round);
}

/// Between the end of an unused link and the status that tells of it, a writer may be in the way.
#[tokio::test(start_paused = true)]
async fn a_call_that_finds_its_server_falling_asleep_wakes_it() {
    let server = Server::new().tool("echo", |_| async { Ok("x".into()) });
    let spec = ServerSpec::new("a", server.transport()).lazy().stop_when_idle(HOUR);
    let runtime = Runtime::start().await;
    let session = runtime.session("s").server(spec).open().await.unwrap();
    for prompt in [false, true] {
        session.call("a.echo", ()).await.unwrap();
        let tool = session.tool("a.echo").unwrap();
        let link = Arc::clone(tool.connection().live_link().as_ref().unwrap());
        link.state.lock().writing = true;
        link.go_down(DownReason::new(DownCause::Unused));
        assert!(session.server("a").unwrap().status().is_ready());
        let released = async {
            tokio::time::sleep(SECOND).await;
            link.fail_pending();
        };
        if prompt {
            let server = session.server("a").unwrap();
            let (read, ()) = tokio::join!(server.prompts(), released);
            read.unwrap();
        } else {
            let (output, ()) = tokio::join!(session.call("a.echo", ()), released);
            assert_eq!(output.unwrap().text(), "x");
        }
    }
    runtime.shutdown().await;
}
