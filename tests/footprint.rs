//! What a session takes, it gives back, and the books say what is alive meanwhile.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{ServerSpec, Stdio};
use tokio::time::timeout;

const GRACE: Duration = Duration::from_millis(300);
/// Both steps of the ladder, what the kernel may take after the last, and air for a machine that
/// does other things too.
const BOUND: Duration = Duration::from_millis(3600);

fn quick(name: &str, stdio: Stdio) -> ServerSpec {
    ServerSpec::new(name, stdio.eof_grace(GRACE).term_grace(GRACE))
}

#[test]
fn a_hundred_servers_of_one_session_come_and_go_together() {
    world::run(async |world| {
        let specs = (0..100).map(|n| quick(&format!("s{n}"), world.echo()).required());
        let session = world.open(specs).await;
        assert_eq!((session.tools().len(), world.processes().len()), (100, 100));
        for n in 0..100 {
            session.call(format!("s{n}.echo"), ()).await.unwrap();
        }
        timeout(BOUND, session.close()).await.unwrap();
        assert_eq!(world.processes(), [0; 0]);
    });
}

#[test]
fn a_report_of_what_is_alive_names_every_process() {
    world::run(async |world| {
        let runtime = &world.runtime;
        assert!(runtime.leak_report().is_empty());
        let session =
            world.open([quick("a", world.echo()), quick("b", world.hostile("grandchild"))]).await;
        let report = runtime.leak_report();
        assert_eq!((report.sessions, report.descriptors, report.crashes), (1, 6, 0));
        assert!(report.tasks > 0 && !report.is_empty());
        for (pid, record) in &report.processes {
            assert_eq!(&*record.session, "test");
            let server = session.server(&record.server).unwrap();
            assert_eq!(server.status().pid, Some(*pid));
            assert!(report.to_string().contains(&format!("process {pid}: server")), "{report}");
        }
        assert_eq!(report.processes.len(), 2, "a group counts once");
        session.close().await;
        assert!(runtime.leak_report().is_empty());
    });
}

/// Open descriptors, tasks of the async runtime, and resident memory in KiB.
fn footprint() -> (usize, usize, usize) {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (descriptors, tasks, line.trim().trim_end_matches(" kB").parse().unwrap())
}

#[test]
fn a_thousand_sessions_one_after_the_other_leave_no_trace() {
    world::run(async |world| {
        let cycle = || async {
            let session = world.open_one(world.echo()).await;
            session.call("a.echo", ()).await.unwrap();
            session.close().await;
        };
        for _ in 0..100 {
            cycle().await;
        }
        let (descriptors, tasks, memory) = footprint();
        for _ in 100..1000 {
            cycle().await;
        }
        let after = footprint();
        assert_eq!(descriptors, after.0);
        // One or the other may still be ending at the moment of the count.
        assert!(after.1 <= tasks.max(4), "{} tasks, from {tasks}", after.1);
        let grown = after.2.saturating_sub(memory);
        assert!(grown < 4096, "{grown} KiB more than the {memory} KiB after 100 sessions");
    });
}
