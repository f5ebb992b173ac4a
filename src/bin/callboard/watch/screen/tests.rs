use std::time::UNIX_EPOCH;

use callboard::SessionSnapshot;
use insta::{assert_snapshot, with_settings};
use ratatui::{Terminal, backend::TestBackend};
use serde_json::{Value, json};

use super::*;

/// Times of snapshots, in milliseconds.
const NOW: u64 = 1_800_000_000_000;

fn server(name: &str, phase: &str, more: Value) -> Value {
    let totals = json!({
        "started": 0, "finished": 0, "tool_errors": 0, "cancelled": 0, "failed": 0,
    });
    let latency = json!({ "p50": 0.0, "p90": 0.0, "p99": 0.0, "max": 0.0 });
    let usage =
        json!({ "calls": totals, "calls_per_minute": 0.0, "error_rate": 0.0, "latency": latency });
    let traffic = json!({
        "in_flight": 2, "bytes_in_flight": 90, "queued": 0, "bytes_sent": 900, "bytes_received": 80_000,
    });
    let mut server = json!({
        "name": name, "phase": phase, "since": NOW - 65_000, "pid": null, "epoch": 1, "restarts": 0,
        "transport": "stdio", "protocol_version": null, "breaker": null, "traffic": traffic,
        "usage": usage, "last_error": null, "stderr_tail": [], "tools": [],
    });
    server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server
}

fn model() -> Model {
    let now = UNIX_EPOCH + Duration::from_millis(NOW);
    let mut model = Model::new(now - Duration::from_secs(3_725));
    let error = "the server was ended by signal 9 (SIGKILL); its last words on stderr:\n  | bye";
    let servers = [
        server("github", "ready", json!({ "pid": 4711, "protocol_version": "2026-07-28" })),
        server(
            "a-server-with-a-very-long-name-indeed",
            "backing_off",
            json!({
                "epoch": 3, "restarts": 2, "last_error": error, "stderr_tail": ["bye"],
            }),
        ),
        server("linear", "auth_required", json!({ "transport": "streamable_http" })),
        server("dead", "failed", json!({ "last_error": "no program \"x\" was found" })),
    ];
    let totals = json!({
        "started": 0, "finished": 0, "tool_errors": 0, "cancelled": 0, "failed": 0,
    });
    let session = json!({
        "id": "callboard", "since": NOW, "closing": false, "calls": totals, "servers": servers,
    });
    let session: SessionSnapshot = serde_json::from_value(session).unwrap();
    drop(model.look(session, now));
    model.answered("github", Duration::from_micros(1_234));
    model.lines.clear();
    for (kind, text) in [(Kind::Status, "ready → backing_off, epoch 2"), (Kind::Stderr, "bye")] {
        let (at, server) = (Duration::from_secs(61), "github".to_owned());
        model.lines.push_back(Line { at, server, kind, text: text.to_owned() });
    }
    model.select(1);
    model
}

fn drawn(width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, &model())).unwrap();
    let rows = terminal.backend().buffer().content().chunks(usize::from(width));
    let row = |row: &[ratatui::buffer::Cell]| {
        row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()
    };
    rows.map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn it_fits_a_small_and_a_large_terminal() {
    with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots"),
        prepend_module_to_snapshot => false,
    }, {
        assert_snapshot!("watch_80x24", drawn(80, 24));
        assert_snapshot!("watch_200x50", drawn(200, 50));
    });
    // No size makes it fall over.
    for (width, height) in [(1, 1), (10, 3), (300, 2), (2, 100)] {
        drawn(width, height);
    }
}

#[test]
fn keys_mean_what_the_last_line_says() {
    let key = |code| meant(KeyEvent::new(code, KeyModifiers::NONE));
    assert_eq!(key(KeyCode::Char('r')), Some(Wish::Restart));
    assert_eq!(key(KeyCode::Char('q')), Some(Wish::Close));
    assert_eq!(key(KeyCode::Char('c')), None);
    assert_eq!(key(KeyCode::Down), Some(Wish::Move(1)));
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(meant(control_c), Some(Wish::Interrupt));
}
