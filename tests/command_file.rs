//! The command `callboard` on config files, right and broken.

#[path = "support/real_server.rs"]
mod real_server;
#[path = "support/shell.rs"]
mod shell;
#[path = "support/world.rs"]
mod world;

use std::{path::Path, time::Duration};

use insta::assert_snapshot;
use reqwest::Client;
use serde_json::{Value, json};
use shell::{Ran, command, ended, everything, hostile, on, run};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use world::World;

const LONG: Duration = Duration::from_secs(60);

/// An entry whose processes are this world's.
fn entry(world: &World, words: &[String]) -> Value {
    let [(name, value)] = world.marked();
    json!({ "command": words[0], "args": words[1..], "env": { name: value } })
}

/// Writes a file of servers.
fn write(world: &World, name: &str, text: &str) {
    std::fs::write(world.folder().join(name), text).unwrap();
}

fn file(world: &World, servers: Value) {
    write(world, "servers.json", &json!({ "mcpServers": servers }).to_string());
}

/// What is different at each run of the doctor.
fn steady(text: &str) -> String {
    let line = |line: &str| match line.split_once(", ready after ") {
        Some((before, _)) => format!("{before}, ready after TIME, pid PID"),
        None => match line.split_once(" listed in ") {
            Some((before, _)) => format!("{before} listed in TIME"),
            None => line.to_owned(),
        },
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_servers_of_a_file_are_used_by_their_names() {
    world::run(async |world| {
        let normal = entry(&world, &hostile(&["normal"]));
        file(&world, json!({ "a": normal, "b": normal, "c": entry(&world, &everything()) }));
        let with = |args: &[&'static str]| [args, &["-f", "servers.json"]].concat();
        let all = run(&world, &with(&["tools", "--json"])).await.json();
        let servers = ["a", "b", "c"].map(|name| {
            let of = |tool: &&Value| tool["server"] == name;
            all["tools"].as_array().unwrap().iter().filter(of).count()
        });
        assert!(servers[0] > 3 && servers[0] == servers[1] && servers[2] > 10, "{servers:?}");
        // Only the server that has it is started, and it need not be said where only one has it.
        for tool in ["c.get-sum", "get-sum"] {
            let ran = run(&world, &with(&["call", tool, "a=1", "b=2"])).await;
            assert_eq!(ran.out, "The sum of 1 and 2 is 3.\n", "{ran:?}");
        }
        let ran = run(&world, &with(&["call", "echo", "text=x"])).await;
        assert!(ran.code == Some(2) && ran.err.contains("say a.echo or b.echo"), "{ran:?}");
        let ran = run(&world, &with(&["call", "echo", "text=x", "-s", "b", "--json"])).await;
        assert_eq!(ran.json()["tool"], "b.echo");
        let mut by_variable = command(&world, &["tools", "-s", "a"]);
        by_variable.env("CALLBOARD_CONFIG", "servers.json");
        let ran = ended(by_variable.spawn().unwrap()).await;
        assert!(ran.code == Some(0) && ran.out.contains("a.echo"), "{ran:?}");
        let ran = run(&world, &with(&["tools", "-s", "d"])).await;
        assert!(ran.code == Some(2) && ran.err.contains("but a, b, c"), "{ran:?}");
    });
}

/// What it says of a file that is named so and reads so.
async fn said_of(world: &World, name: &str, text: &str) -> Ran {
    write(world, name, text);
    run(world, &["tools", "--config", name]).await
}

#[test]
fn every_kind_of_broken_file_is_explained() {
    world::run(async |world| {
        let mut all = String::new();
        let odd = r#"{ "mcpServers": { "a": { "comand": "x" }, "b": { "command": "" },
            "c": { "url": "ftp://x" }, "d": { "command": "x", "env": { "A": [] } } } }"#;
        for (name, text) in [
            (
                "broken.json",
                "{ \"mcpServers\": {\n  \"a\": { \"command\": \"x\" \"args\": [] }\n} }",
            ),
            ("empty.json", ""),
            ("list.json", "[]"),
            ("nothing.json", "{ \"mcpServers\": {} }"),
            ("odd.json", odd),
            ("broken.hcl", "mcp_server \"a\" {\n  transport = \n}\n"),
            ("odd.hcl", "mcp_server \"a\" {\n  transport = \"stdio\"\n  agrs = []\n}\n"),
            ("broken.toml", "[mcp_servers.a]\ncommand = \n"),
        ] {
            let ran = said_of(&world, name, text).await;
            assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{name}: {ran:?}");
            all += &format!("# {name}\n{}\n", ran.err);
        }
        let missing = run(&world, &["tools", "--config", "missing.json"]).await;
        all += &format!("# missing.json\n{}", missing.err);
        assert_snapshot!("broken_files", all);
    });
}

#[test]
fn one_bad_entry_costs_no_other() {
    world::run(async |world| {
        file(
            &world,
            json!({
                "good": entry(&world, &hostile(&["normal"])),
                "dead": entry(&world, &hostile(&["exit-at-start"])),
                "bad": { "comand": "x" },
                "off": { "command": "x", "disabled": true },
            }),
        );
        let config = ["-f", "servers.json"];
        let ran = run(&world, &[&["tools", "--json"], &config[..]].concat()).await;
        assert_eq!(ran.code, Some(3), "{ran:?}");
        let tools = ran.json();
        assert!(tools["tools"].as_array().unwrap().iter().all(|tool| tool["server"] == "good"));
        let kinds: Vec<_> = tools["errors"].as_array().unwrap().iter().collect();
        assert!(kinds.iter().any(|one| one["kind"] == "config" && one["line"] == 1), "{tools}");
        assert!(kinds.iter().any(|one| one["server"] == "dead"), "{tools}");
        let args = ["call", "good.echo", "text=hi"];
        let ran = run(&world, &[&args, &config[..]].concat()).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), "hi\n"), "{ran:?}");
        for (server, part) in [("bad", "mcpServers.bad"), ("off", "disabled in servers.json")] {
            let ran = run(&world, &[&["tools", "-s", server], &config[..]].concat()).await;
            assert!(ran.code == Some(2) && ran.err.contains(part), "{ran:?}");
        }
    });
}

#[test]
fn the_doctor_says_how_far_each_server_comes() {
    world::run(async |world| {
        let mut secret = entry(&world, &hostile(&["normal"]));
        secret["env"]["KEY"] = json!("${NOT_SET_ANYWHERE}");
        let mut told = entry(&world, &hostile(&["normal"]));
        told["env"]["KEY"] = json!("${SET}");
        file(
            &world,
            json!({
                "bad": { "command": "x", "url": "https://x" },
                "dead": entry(&world, &hostile(&["exit-at-start"])),
                "everything": entry(&world, &everything()),
                "odd": entry(&world, &hostile(&["wrong-shape"])),
                "silent": secret,
                "told": told,
            }),
        );
        let mut doctor = command(&world, &["doctor", "-f", "servers.json"]);
        // The command has to be found at the same place everywhere.
        let bin = world.folder().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let python = which::which("python3").unwrap();
        std::os::unix::fs::symlink(python, bin.join("python3")).unwrap();
        let path = std::env::var("PATH").unwrap();
        doctor.env("PATH", format!("{}:{path}", bin.display())).env("SET", "a-secret-value");
        let ran = ended(doctor.spawn().unwrap()).await;
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert_snapshot!("doctor", steady(&ran.shown(&world)));
        assert!(!format!("{ran:?}").contains("a-secret-value"));

        let one = run(&world, &["doctor", "-f", "servers.json", "everything", "--json"]).await;
        let found = one.json();
        assert_eq!((one.code, &found["servers"][0]["ok"]), (Some(0), &json!(true)), "{found}");
        let steps: Vec<_> = found["servers"][0]["steps"].as_array().unwrap().clone();
        let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
        assert_eq!(names, ["command", "handshake", "tools"]);
    });
}

#[test]
fn calls_are_measured() {
    world::run(async |world| {
        let server = hostile(&["normal"]);
        let args = ["bench", "echo", "text=x", "-n", "50", "-c", "4"];
        let ran = run(&world, &on(&args, &server)).await;
        assert!(ran.code == Some(0) && ran.out.contains("echo: 50 calls, 4 at a time"), "{ran:?}");
        assert!(ran.out.contains("ok 50") && ran.out.contains('█'), "{ran:?}");
        let json = run(&world, &on(&[&args[..], &["--json"]].concat(), &server)).await.json();
        let latency = &json["latency_seconds"];
        let times = ["p50", "p90", "max"].map(|name| latency[name].as_f64().unwrap());
        assert!(times[0] > 0.0 && times.is_sorted(), "{json}");
        let fails = run(&world, &on(&["bench", "fail", "-n", "5", "--json"], &server)).await;
        assert_eq!(
            (fails.code, fails.json()["outcomes"]["tool_error"].as_u64()),
            (Some(1), Some(5))
        );
        let dying = hostile(&["exit-after", "--count", "3"]);
        let ran = run(&world, &on(&["bench", "echo", "text=x", "-n", "9"], &dying)).await;
        assert!(ran.code == Some(3) && ran.err.contains("transport_down"), "{ran:?}");
    });
}

/// Logs in by these words, as a person does with a browser.
async fn log_in(world: &World, data: &Path, words: &[&str]) {
    let mut login = command(world, &[&["login"], words].concat());
    let mut login = login.env("XDG_DATA_HOME", data).spawn().unwrap();
    let mut said = BufReader::new(login.stderr.take().unwrap()).lines();
    let page = loop {
        let line = tokio::time::timeout(LONG, said.next_line()).await.unwrap().unwrap();
        let line = line.expect("it says where to log in");
        if line.trim().starts_with("http") {
            break line.trim().to_owned();
        }
    };
    // The browser comes back to the port that the command listens at.
    let browser = Client::builder().no_proxy().build().unwrap();
    let landed = browser.get(page).send().await.unwrap().text().await.unwrap();
    assert!(landed.contains("You are logged in"), "{landed}");
    let ran = ended(login).await;
    assert!(ran.code == Some(0) && ran.out.contains("is ready"), "{ran:?}");
}

#[test]
fn a_login_is_kept_for_the_next_command() {
    world::run(async |world| {
        let server = real_server::oauth(&world, 3600).await;
        let url = server.url("/mcp");
        file(&world, json!({ "remote": { "url": url }, "other": { "command": "false" } }));
        let named: &[&str] = &["-f", "servers.json"];
        for (folder, login, call) in [
            ("by-url", vec![url.as_str()], vec!["call", &url, "add"]),
            ("by-name", [named, &["remote"]].concat(), [&["call", "remote.add"], named].concat()),
        ] {
            let data = world.folder().join(folder);
            let call = [&call[..], &["a=2", "b=3"]].concat();
            let start =
                |args: &[&str]| command(&world, args).env("XDG_DATA_HOME", &data).spawn().unwrap();
            let before = ended(start(&[&call[..], &["--json"]].concat())).await;
            assert_eq!(before.json()["error"]["kind"], "login_required", "{before:?}");
            assert!(before.code == Some(3) && before.err.contains("callboard login"), "{before:?}");
            log_in(&world, &data, &login).await;
            let after = ended(start(&call)).await;
            assert_eq!((after.code, after.out.as_str()), (Some(0), "5\n"), "{after:?}");
        }
        // Of a file with several servers, one has to be named.
        let both = run(&world, &[&["login"], named].concat()).await;
        assert!(both.code == Some(2) && both.err.contains("which server"), "{both:?}");
    });
}

#[test]
fn what_a_file_asks_for_comes_from_variables() {
    world::run(async |world| {
        let mut asked = entry(&world, &hostile(&["normal"]));
        asked["env"]["KEY"] = json!("${input:api-key}");
        let inputs = json!([{ "id": "api-key", "type": "promptString", "password": true }]);
        let text = json!({ "servers": { "a": asked }, "inputs": inputs }).to_string();
        write(&world, "mcp.json", &text);
        let nobody = run(&world, &["tools", "-f", "mcp.json"]).await;
        assert_eq!(nobody.code, Some(3), "{nobody:?}");
        assert!(nobody.err.contains("CALLBOARD_INPUT_API_KEY"), "{nobody:?}");
        let mut command = command(&world, &["tools", "-f", "mcp.json"]);
        let ran = ended(command.env("CALLBOARD_INPUT_API_KEY", "x").spawn().unwrap()).await;
        assert!(ran.code == Some(0) && ran.out.contains("a.echo"), "{ran:?}");
    });
}

const HCL: &str = r#"mcp_server "github" {
  transport    = "stdio"
  command      = "github-mcp-server"
  args         = ["stdio"]
  env          = { GITHUB_TOKEN = "${env.GITHUB_TOKEN}", LEVEL = "debug" }
  prefix       = "gh"
  init_timeout = "90s"
}

mcp_server "linear" {
  transport = "streamable_http"
  url       = "https://mcp.linear.app/mcp"
  auth      = { type = "bearer", env = "LINEAR_API_KEY" }
}
"#;

#[test]
fn a_server_is_written_down_for_every_client() {
    world::run(async |world| {
        write(&world, "servers.hcl", HCL);
        let mut all = String::new();
        for client in ["claude", "cursor", "vscode", "opencode", "codex"] {
            let ran = run(&world, &["snippet", "--client", client, "-f", "servers.hcl"]).await;
            all += &format!("# {client}\n{}\n", ran.shown(&world));
        }
        assert_snapshot!("snippets", all);
        let one = ["snippet", "--client", "cursor", "-f", "servers.hcl", "linear", "--json"];
        let one = run(&world, &one).await.json();
        let text: Value =
            serde_json::from_str(one["snippets"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text["mcpServers"]["linear"]["url"], "https://mcp.linear.app/mcp");
        // Of a server that no file has.
        let args = ["snippet", "--client", "claude"];
        let mut words = on(&args, &["npx", "-y", "@scope/server-x"].map(str::to_owned));
        let ran = run(&world, &words).await;
        assert!(ran.code == Some(0) && ran.out.contains("\"server-x\""), "{ran:?}");
        words[2] = "nobody".to_owned();
        assert_eq!(run(&world, &words).await.code, Some(2));
    });
}

#[test]
fn files_are_checked_converted_and_described() {
    world::run(async |world| {
        write(&world, "servers.hcl", HCL);
        let json = run(&world, &["config", "convert", "servers.hcl"]).await;
        assert_snapshot!("converted", json.shown(&world));
        write(&world, "servers.json", &json.out);
        let hcl = run(&world, &["config", "convert", "servers.json"]).await;
        assert_eq!(hcl.code, Some(0), "{hcl:?}");
        write(&world, "again.hcl", &hcl.out);
        let again = run(&world, &["config", "convert", "again.hcl"]).await;
        assert_eq!(again.out, json.out);

        // What is not written is told, also what is left out from the first.
        let off = r#"{ "mcpServers": { "a": { "command": "x" },
            "b": { "command": "x", "disabled": true } }, "inputs": [{ "id": "key" }] }"#;
        write(&world, "off.json", off);
        let told = run(&world, &["config", "convert", "off.json"]).await;
        for what in ["left out: b: it is disabled", "left out: what to ask for as key"] {
            assert!(told.code == Some(0) && told.err.contains(what), "{told:?}");
        }
        assert!(told.out.contains("mcp_server \"a\"") && !told.out.contains("\"b\""), "{told:?}");

        let fine = run(&world, &["config", "check", "servers.hcl"]).await;
        let said = "2 can be used: github, linear; 0 errors, 0 warnings\n";
        assert_eq!((fine.code, fine.out.as_str()), (Some(0), said), "{fine:?}");
        write(&world, "odd.json", "{\n \"mcpServers\": {\n  \"a\": { \"comand\": \"x\" }\n }\n}");
        let odd = run(&world, &["config", "check", "odd.json"]).await;
        assert!(odd.code == Some(2) && odd.out.contains("odd.json:3:3: mcpServers.a"), "{odd:?}");
        let found = run(&world, &["config", "check", "odd.json", "--json"]).await.json();
        assert_eq!(
            (&found["faults"][0]["line"], &found["warnings"][0]["line"]),
            (&json!(3), &json!(3))
        );

        for form in ["json", "hcl"] {
            let schema = run(&world, &["config", "schema", "--form", form]).await.json();
            assert!(schema["properties"].is_object(), "{schema}");
        }
    });
}
