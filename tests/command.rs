//! The command `callboard` as a process: what it prints, and how it ends.

#[path = "support/real_server.rs"]
mod real_server;
#[path = "support/shell.rs"]
mod shell;
#[path = "support/world.rs"]
mod world;

use std::{process::Stdio, time::Duration};

use insta::assert_snapshot;
use rustix::{
    fs::{FileType, Mode, OFlags},
    process::Signal,
};
use serde_json::json;
use shell::{command, ended, everything, hostile, on, run};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use world::eventually;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn it_teaches_what_it_can_do() {
    world::run(async |world| {
        let help = run(&world, &["--help"]).await;
        assert_snapshot!("help", help.shown(&world));
        for topic in [
            "tools",
            "call",
            "resources",
            "read",
            "prompts",
            "prompt",
            "doctor",
            "watch",
            "login",
            "bench",
            "snippet",
            "config schema",
            "config check",
            "config convert",
            "completions",
        ] {
            let words: Vec<_> = topic.split(' ').chain(["--help"]).collect();
            let help = run(&world, &words).await;
            assert_eq!(help.code, Some(0), "{help:?}");
            assert!(help.out.contains("Examples:\n  callboard "), "{help:?}");
        }
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let script = run(&world, &["completions", shell]).await;
            assert!(script.code == Some(0) && script.out.contains("init-timeout"), "{shell}");
        }
    });
}

#[test]
fn tools_are_listed_described_and_called() {
    world::run(async |world| {
        let server = everything();
        let listed = run(&world, &on(&["tools"], &server)).await;
        assert_snapshot!("tools", listed.shown(&world));
        let one = run(&world, &on(&["tools", "get-sum"], &server)).await;
        assert_snapshot!("tool", one.shown(&world));
        let some = run(&world, &on(&["tools", "--json", "get-s*"], &server)).await.json();
        let ids: Vec<_> =
            some["tools"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
        let wanted = ["get-structured-content", "get-sum"];
        assert_eq!(ids, wanted.map(|name| json!(format!("mcp-server-everything.{name}"))));
        assert_eq!(some["tools"][1]["tool"]["name"], "get-sum");

        let sum = run(&world, &on(&["call", "get-sum", "a=2", "b=3"], &server)).await;
        assert_eq!(
            (sum.code, sum.out.as_str()),
            (Some(0), "The sum of 2 and 3 is 5.\n"),
            "{sum:?}"
        );
        let args = ["call", "--json", "mcp-server-everything.get-sum", r#"{"a":2,"b":4}"#];
        let sum = run(&world, &on(&args, &server)).await.json();
        assert_eq!(sum["result"]["content"][0]["text"], "The sum of 2 and 4 is 6.");
        assert_eq!(sum["is_error"], false);
        let args = ["call", "get-structured-content", "location=Chicago", "--json"];
        let weather = run(&world, &on(&args, &server)).await.json();
        assert!(weather["result"]["structuredContent"]["temperature"].is_number(), "{weather}");
    });
}

#[test]
fn images_are_saved_and_no_file_is_written_over() {
    world::run(async |world| {
        let args = ["call", "get-tiny-image", "--out", "pictures"];
        for name in ["get-tiny-image.png", "get-tiny-image-2.png"] {
            let ran = run(&world, &on(&args, &everything())).await;
            assert!(
                ran.code == Some(0) && ran.out.contains(&format!("pictures/{name}")),
                "{ran:?}"
            );
            let bytes = std::fs::read(world.folder().join("pictures").join(name)).unwrap();
            assert!(bytes.starts_with(b"\x89PNG"), "{name}");
        }
    });
}

#[test]
fn resources_and_prompts_are_listed_and_read() {
    world::run(async |world| {
        let server = everything();
        let listed = run(&world, &on(&["resources"], &server)).await;
        assert_snapshot!("resources", listed.shown(&world));
        let all = run(&world, &on(&["resources", "--json"], &server)).await.json();
        assert!(all["resources"].as_array().unwrap().len() > 4, "{all}");
        assert_eq!(all["templates"][0]["server"], "mcp-server-everything");
        let text = ["read", "demo://resource/dynamic/text/7"];
        let read = run(&world, &on(&text, &server)).await;
        assert!(read.code == Some(0) && read.out.starts_with("Resource 7: "), "{read:?}");
        // Not to a terminal: as they are.
        let blob = ["read", "demo://resource/dynamic/blob/8"];
        let read = run(&world, &on(&blob, &server)).await;
        assert!(read.code == Some(0) && read.out.starts_with("Resource 8: "), "{read:?}");
        let none = run(&world, &on(&["read", "demo://nothing/here"], &server)).await;
        assert_eq!((none.code, none.out.as_str()), (Some(2), ""), "{none:?}");

        let listed = run(&world, &on(&["prompts"], &server)).await;
        assert_snapshot!("prompts", listed.shown(&world));
        let filled = run(&world, &on(&["prompt", "args-prompt", "city=Bern"], &server)).await;
        assert_snapshot!("prompt", filled.shown(&world));
        let none = run(&world, &on(&["prompt", "no-prompt"], &server)).await;
        assert!(none.code == Some(2) && none.err.contains(".args-prompt"), "{none:?}");
    });
}

#[test]
fn a_server_behind_a_url_is_used_by_its_url() {
    world::run(async |world| {
        let server = real_server::everything(&world, "streamableHttp").await;
        let url = server.url("/mcp");
        let sum = run(&world, &["call", &url, "get-sum", "a=2", "b=3"]).await;
        assert_eq!(
            (sum.code, sum.out.as_str()),
            (Some(0), "The sum of 2 and 3 is 5.\n"),
            "{sum:?}"
        );
        let read = run(&world, &["read", &url, "demo://resource/dynamic/text/1"]).await;
        assert!(read.code == Some(0) && read.out.starts_with("Resource 1: "), "{read:?}");
        let modern = real_server::python(&world, "sdk", "http").await;
        let args = ["call", &modern.url("/mcp"), "add", "a=2", "b=3", "--json", "-H", "X-A: b"];
        let sum = run(&world, &args).await.json();
        assert_eq!(sum["tool"], "server-127-0-0-1.add");
        assert_eq!(sum["result"]["content"][0]["text"], "5");
    });
}

#[test]
fn servers_of_other_makers_are_used_all_the_same() {
    world::run(async |world| {
        std::fs::write(world.folder().join("note.txt"), "written down").unwrap();
        let folder = world.folder().to_str().unwrap().to_owned();
        let files = world::installed("node/node_modules/.bin/mcp-server-filesystem");
        let files = [files.to_str().unwrap().to_owned(), folder.clone()];
        let path = format!("path={folder}/note.txt");
        let read = run(&world, &on(&["call", "read_text_file", &path], &files)).await;
        assert_eq!((read.code, read.out.as_str()), (Some(0), "written down\n"), "{read:?}");
        let path = format!("path={folder}/nothing.txt");
        let none = run(&world, &on(&["call", "read_text_file", &path], &files)).await;
        assert!(none.code == Some(1) && none.err.contains("says that it failed"), "{none:?}");

        let time = world::installed("python/bin/mcp-server-time").to_str().unwrap().to_owned();
        let args = ["call", "get_current_time", "timezone=Europe/Zurich", "--json"];
        let now = run(&world, &on(&args, &[time])).await;
        let text = now.json()["result"]["content"][0]["text"].to_string();
        assert!(now.code == Some(0) && text.contains("Europe/Zurich"), "{now:?}");
    });
}

#[test]
fn every_exit_code_says_what_it_says_in_the_help() {
    world::run(async |world| {
        let (normal, hang) = (hostile(&["normal"]), hostile(&["hang-call"]));
        let dying = hostile(&["exit-after", "--count", "1"]);
        let silent = ["tools", "--init-timeout", "1s"];
        for (code, kind, args, server) in [
            (0, "", &["call", "echo", "text=x"][..], &normal),
            (1, "", &["call", "fail"], &normal),
            (1, "rejected", &["call", "rpcerror"], &normal),
            (2, "unknown_tool", &["call", "ehco"], &normal),
            (2, "usage", &["call", "add", "a=x"], &normal),
            (2, "usage", &["call", "add", "{"], &normal),
            (2, "resource_not_found", &["read", "demo://x"], &everything()),
            (3, "transport_down", &["call", "echo", "text=x"], &dying),
            (3, "not_ready", &["tools"], &hostile(&["exit-at-start"])),
            (3, "not_ready", &silent, &hostile(&["no-init"])),
            (3, "not_ready", &["tools"], &vec!["no-such-program".to_owned()]),
            (4, "timed_out", &["call", "echo", "text=x", "--timeout", "1s"], &hang),
        ] {
            let args = [&["--json"], args].concat();
            let ran = run(&world, &on(&args, server)).await;
            assert_eq!(ran.code, Some(code), "{args:?} {ran:?}");
            if !kind.is_empty() {
                assert_eq!(ran.json()["error"]["kind"], kind, "{args:?} {ran:?}");
                assert!(!ran.err.is_empty(), "{args:?} {ran:?}");
            }
        }
        for args in [&["tools"][..], &["call"], &["tools", "--no-such-option"], &["no-such"], &[]] {
            let ran = run(&world, args).await;
            assert!(ran.code == Some(2) && ran.out.is_empty(), "{args:?} {ran:?}");
            assert!(!ran.err.is_empty(), "{args:?} {ran:?}");
        }
        let refused = run(&world, &["tools", "http://127.0.0.1:1/mcp"]).await;
        assert_eq!(refused.code, Some(3), "{refused:?}");
    });
}

#[test]
fn what_failed_is_explained() {
    world::run(async |world| {
        let dead = hostile(&["exit-at-start"]);
        let ran = run(&world, &on(&["tools"], &dead)).await;
        assert_snapshot!("exit_at_start", ran.shown(&world));
        let misspelt = on(&["call", "get-som", "a=1"], &everything());
        assert_snapshot!("misspelt", run(&world, &misspelt).await.shown(&world));
    });
}

/// A call that hangs, of which the server has heard.
async fn hanging(world: &world::World, mode: &str) -> tokio::process::Child {
    let log = world.log_path();
    let server = hostile(&[mode, "--log", log.to_str().unwrap()]);
    let child = command(world, &on(&["call", "sleep", "ms=3600000"], &server)).spawn().unwrap();
    eventually(LONG, "the call has arrived", || logged(world, "tools/call")).await;
    child
}

/// Whether the server of [`hanging`] has heard of this.
fn logged(world: &world::World, what: &str) -> bool {
    std::fs::read_to_string(world.log_path()).is_ok_and(|log| log.contains(what))
}

#[test]
fn a_signal_cancels_the_call_on_the_wire_and_leaves_nothing() {
    world::run(async |world| {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
            let child = hanging(&world, "hang-call").await;
            shell::signal(&child, signal);
            let ran = ended(child).await;
            assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{ran:?}");
            assert!(logged(&world, "notifications/cancelled"), "{signal:?}");
            assert!(world.processes().is_empty(), "{signal:?}");
            std::fs::remove_file(world.log_path()).unwrap();
        }
    });
}

#[test]
fn a_second_signal_ends_it_at_once_and_leaves_nothing() {
    world::run(async |world| {
        let child = hanging(&world, "ignore-term").await;
        shell::signal(&child, Signal::INT);
        eventually(LONG, "it closes", || logged(&world, "\"eof\"")).await;
        shell::signal(&child, Signal::INT);
        let ran = ended(child).await;
        assert_eq!(ran.code, Some(130), "{ran:?}");
        eventually(LONG, "nothing is left", || world.processes().is_empty()).await;
    });
}

#[test]
fn nothing_outlives_a_command_that_is_killed() {
    world::run(async |world| {
        for mode in ["hang-call", "ignore-term"] {
            let mut child = hanging(&world, mode).await;
            child.kill().await.unwrap();
            eventually(LONG, "nothing is left", || world.processes().is_empty()).await;
            std::fs::remove_file(world.log_path()).unwrap();
        }
    });
}

#[test]
fn whoever_stops_reading_ends_it_quietly() {
    world::run(async |world| {
        let many = hostile(&["many-tools", "--count", "2000"]);
        let mut child = command(&world, &on(&["tools"], &many)).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next_line().await.unwrap().unwrap().starts_with("TOOL"));
        drop(lines);
        let ran = ended(child).await;
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    });
}

#[test]
fn arguments_come_from_files_and_from_stdin() {
    world::run(async |world| {
        std::fs::write(world.folder().join("sum.json"), r#"{"a": 20, "b": 22}"#).unwrap();
        let ran = run(&world, &on(&["call", "get-sum", "@sum.json"], &everything())).await;
        assert_eq!(ran.out, "The sum of 20 and 22 is 42.\n", "{ran:?}");
        let mut command = command(&world, &on(&["call", "get-sum", "-"], &everything()));
        let file = std::fs::File::open(world.folder().join("sum.json")).unwrap();
        let ran = ended(command.stdin(Stdio::from(file)).spawn().unwrap()).await;
        assert_eq!(ran.out, "The sum of 20 and 22 is 42.\n", "{ran:?}");
    });
}

#[test]
fn whoever_waits_for_arguments_can_be_stopped() {
    world::run(async |world| {
        let fifo = world.folder().join("fifo");
        let (kind, mode) = (FileType::Fifo, Mode::RUSR | Mode::WUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
        for (name, from, signal, code) in [
            ("call", "-", Signal::INT, 130),
            ("bench", "-", Signal::TERM, 143),
            ("call", "@fifo", Signal::TERM, 143),
            ("bench", "@fifo", Signal::INT, 130),
        ] {
            let mut command = command(&world, &on(&[name, "echo", from], &hostile(&["normal"])));
            let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(b"{").await.unwrap();
            let mut writer = None;
            eventually(LONG, "it reads", || match from {
                "-" => rustix::io::ioctl_fionread(&stdin).unwrap() == 0,
                _ => {
                    // Refused as long as nobody reads it.
                    let way = OFlags::WRONLY | OFlags::NONBLOCK;
                    writer = rustix::fs::open(&fifo, way, Mode::empty()).ok();
                    writer.is_some()
                }
            })
            .await;
            shell::signal(&child, signal);
            let ran = ended(child).await;
            assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{name} {from}: {ran:?}");
            assert!(world.processes().is_empty());
            // Both were open until now.
            drop((stdin, writer));
        }
    });
}

#[test]
fn logs_go_to_stderr_if_they_are_asked_for() {
    world::run(async |world| {
        let args = ["call", "trigger-long-running-operation", "duration=1", "steps=2"];
        let quiet = run(&world, &on(&args, &everything())).await;
        assert!(quiet.code == Some(0) && quiet.err.is_empty(), "{quiet:?}");
        // What is said by the switch and by the variable, and the levels to be seen therefore.
        for (verbose, filter, levels) in [
            (&["-v"][..], None, &["INFO"][..]),
            (&["-vv"], None, &["INFO", "DEBUG"]),
            (&["-vvv"], None, &["INFO", "DEBUG", "TRACE"]),
            (&[], Some("callboard::status=info"), &["INFO"]),
            (&[], Some("callboard=debug"), &["INFO", "DEBUG"]),
            // Whoever sets the variable knows better than the switch.
            (&["-vvv"], Some("callboard=info"), &["INFO"]),
            (&["-vvv"], Some("off"), &[]),
        ] {
            let args = [verbose, &["call", "get-sum", "a=20", "b=22"]].concat();
            let mut command = command(&world, &on(&args, &everything()));
            if let Some(filter) = filter {
                command.env("RUST_LOG", filter);
            }
            let ran = ended(command.spawn().unwrap()).await;
            assert_eq!(ran.out, "The sum of 20 and 22 is 42.\n", "{ran:?}");
            let traced = |level: &str| ran.err.lines().any(|line| line.trim().starts_with(level));
            for level in ["INFO", "DEBUG", "TRACE"] {
                let wanted = levels.contains(&level);
                assert_eq!(traced(level), wanted, "{level} of {verbose:?} {filter:?}: {ran:?}");
            }
            assert_eq!(ran.err.contains("callboard::status"), !levels.is_empty(), "{ran:?}");
        }
    });
}
