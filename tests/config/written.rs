//! What is written down can be read again.

use std::time::Duration;

use callboard::{
    Auth, Backoff, CachePolicy, CallOptions, CircuitBreaker, ClientCredentials, FileTokenStore,
    HealthCheck, HttpEra, HttpSse, JwtBearer, Limits, MemoryTokenStore, OAuth, RateLimit,
    RestartPolicy, RetryPolicy, SchemaCheck, Secret, ServerSpec, Stdio, StreamableHttp, WhenDown,
    config::{self, Client},
};
use serde_json::{Value, json};

use super::{load, parse};

/// What is written is what was read, in either form.
#[test]
fn servers_come_back_from_what_they_are_written_as() {
    for (file, lossless) in [
        ("claude_desktop.json", true),
        ("claude_code.mcp.json", false),
        ("vscode.json", true),
        ("opencode.json", true),
        ("cline.json", true),
        ("windsurf.json", true),
        ("servers.hcl", true),
    ] {
        let specs = load(file).specs;
        let json = config::to_json(&specs);
        let back = config::parse_json(&json.text, "x.json").unwrap();
        assert!(back.faults.is_empty(), "{file}: {:#?}", back.faults);
        assert_eq!(back.specs, specs, "{file}: {}", json.text);
        assert!(json.left_out.is_empty(), "{file}: {:?}", json.left_out);
        let hcl = config::to_hcl(&specs);
        let back = config::parse_hcl(&hcl.text, "x.hcl").unwrap();
        assert!(back.faults.is_empty(), "{file}: {:#?}\n{}", back.faults, hcl.text);
        if lossless {
            assert_eq!(back.specs, specs, "{file}: {}", hcl.text);
            assert!(hcl.left_out.is_empty(), "{file}: {:?}", hcl.left_out);
        } else {
            let lost = "api-server: what stands for CALLBOARD_TEST_TEAM where it is not set";
            assert_eq!(hcl.left_out, [lost]);
        }
    }
}

/// What each method of a builder says comes back, in either form, or it is told that it does not.
#[test]
fn whatever_is_declared_comes_back_or_is_told() {
    let (told, silent) = (true, false);
    let local = || ServerSpec::new("a", Stdio::new("x"));
    let mut all: Vec<(ServerSpec, bool)> = declared_of_servers(&local);
    all.extend(declared_of_calls().into_iter().map(|o| (local().call_options(o), silent)));
    all.extend(declared_of_calls().into_iter().map(|o| (local().tool_options("get_*", o), silent)));
    let stdio = |stdio: Stdio, lost| (ServerSpec::new("a", stdio), lost);
    let x = || Stdio::new("x");
    all.extend([
        stdio(x().arg("-y").args(["${x}", "op://a/b/c", "a\n\"b\" %{if}"]), told),
        stdio(x().arg("-y").args(["op://a/b/c", "a\n\"b\" %{if}"]), silent),
        stdio(x().arg_from(Secret::op("op://a/b/c")).arg_from(Secret::env("A")), silent),
        stdio(x().arg_from(Secret::file("/x")).arg_from(Secret::exec(["a", "b"])), silent),
        stdio(x().arg_from(Secret::provider("p")).arg_from(Secret::provider("input:p")), silent),
        stdio(x().env("A").env("B"), silent),
        stdio(x().env("A").env_literal("B", "b"), told),
        stdio(x().env_from("A", Secret::env("not-plain.name")), silent),
        stdio(x().env_from("A", Secret::env("workspaceFolder")), silent),
        stdio(x().env_literal("A", "1").env_literal("A", "2"), told),
        stdio(x().cwd("/tmp"), silent),
        stdio(x().eof_grace(ODD).term_grace(ODD), silent),
    ]);
    let url = "https://example.com/mcp";
    let remote = |remote: StreamableHttp, lost| (ServerSpec::new("a", remote), lost);
    let at = || StreamableHttp::new(url);
    all.extend([
        remote(at().era(HttpEra::Modern), silent),
        remote(at().era(HttpEra::Legacy), silent),
        (ServerSpec::new("a", HttpSse::new(url).connect_timeout(ODD)), silent),
        remote(at().header("X-A", "a ${b} %{c}").sensitive_header("X-B", "b"), silent),
        remote(at().header_from("X-A", Secret::env("A")), silent),
        remote(at().connect_timeout(ODD).keep_alive(ODD).compression(false), silent),
        remote(at().proxy("http://localhost:1"), silent),
        remote(at().root_certificate("x"), told),
        remote(at().client_certificate("x"), told),
        remote(at().danger_accept_invalid_certificates(), silent),
        remote(at().allow_plain_http(), silent),
        remote(at().probe_every(ODD), silent),
        remote(at().client(reqwest::Client::new()), told),
    ]);
    all.extend(declared_of_auth().into_iter().map(|(auth, lost)| remote(at().auth(auth), lost)));
    for (spec, lost) in all {
        let specs = std::slice::from_ref(&spec);
        let (json, hcl) = (config::to_json(specs), config::to_hcl(specs));
        let read =
            [config::parse_json(&json.text, "x.json"), config::parse_hcl(&hcl.text, "x.hcl")];
        for ((back, written), is_hcl) in read.into_iter().zip([json, hcl]).zip([false, true]) {
            let same = back.is_ok_and(|back| back.specs == specs);
            assert!(same || !written.left_out.is_empty(), "{spec:?}: {written:?}");
            let in_full = same && written.left_out.is_empty();
            assert!(lost || in_full, "{spec:?}: {written:?}");
            // A form may know how to say what the other cannot.
            assert!(!lost || !in_full || is_hcl, "it is said by now: {spec:?}");
        }
    }
}

/// A time that takes all units.
const ODD: Duration = Duration::new(90_061, 1_002_003);

fn declared_of_servers(local: &dyn Fn() -> ServerSpec) -> Vec<(ServerSpec, bool)> {
    let restarts = [
        RestartPolicy::never(),
        RestartPolicy::always().max_restarts(9, ODD).reset_after(ODD),
        RestartPolicy::on_failure().backoff(Backoff::new(ODD, ODD).without_jitter()),
    ];
    let limits = [
        Limits::default().with_max_calls(1).with_max_concurrent(2).with_max_cached(3, 4),
        Limits::default().with_max_call_bytes(5).with_max_memory(6).with_max_frame(7),
        Limits::default().with_max_pages(8).with_max_tools(9).with_record(0, 11),
    ];
    let health = HealthCheck::default().probe_after(1).probe_every(ODD).probe_within(ODD);
    let mut all: Vec<_> = [
        local().prefix("gh"),
        local().prefix(""),
        local().required(),
        local().init_timeout(ODD),
        local().trust_annotations(),
        local().tag("a").tag("b"),
        local().only_tools(["a*", "b"]).without_tools(["c"]),
        local().only_tools(Vec::<String>::new()),
        local().lazy(),
        local().per_call(),
        local().stop_when_idle(ODD),
        local().circuit_breaker(CircuitBreaker::default()),
        local().circuit_breaker(CircuitBreaker::default().threshold(1).recovery(ODD)),
        local().rate_limit(RateLimit::new(3, ODD).burst(2)),
        local().health(HealthCheck::default()),
        local().health(health.down_after(4)),
        local().root("file:///tmp"),
    ]
    .into_iter()
    .chain(restarts.into_iter().map(|policy| local().restart(policy)))
    .chain(limits.into_iter().map(|limits| local().limits(limits)))
    .map(|spec| (spec, false))
    .collect();
    let twice = CallOptions::default().when_down(WhenDown::Wait);
    all.extend([
        (local().init_timeout(Duration::MAX), true),
        (local().tool_options("a", twice.clone()).tool_options("a", twice), true),
        (ServerSpec::new("a", Stdio::new("/opt/${workspaceFolder}/x")), true),
    ]);
    all
}

fn declared_of_calls() -> Vec<CallOptions> {
    let none = CallOptions::default;
    vec![
        none().idle_timeout(ODD).total_timeout(Duration::ZERO),
        none().retry(RetryPolicy::never()),
        none().retry(RetryPolicy::max_attempts(3).delay(ODD).backoff(1.5).without_jitter()),
        none().retry(RetryPolicy::max_attempts(3).retry_unsafe()),
        none().when_down(WhenDown::Wait),
        none().when_down(WhenDown::Fail),
        none().cache(CachePolicy::off()),
        none().cache(CachePolicy::keep_for(ODD).even_if_not_read_only()),
        none().cache(CachePolicy::as_the_server_says()),
        none().check_arguments(SchemaCheck::Warn).check_output(SchemaCheck::Refuse),
        none().check_arguments(SchemaCheck::Off),
        none().meta("a", json!({ "b": [-1, 1.5, "${c}", null, true] })).meta("d.e/f", "x"),
    ]
}

fn declared_of_auth() -> Vec<(Auth, bool)> {
    let secret = || Secret::env("A");
    let client = || ClientCredentials::new("id", secret());
    let (of_client, person) = (Auth::client_credentials, || OAuth::new("x"));
    let key = ClientCredentials::private_key("id", secret());
    vec![
        (Auth::bearer(secret()), false),
        (Auth::bearer(Secret::literal("x")), true),
        (Auth::api_key("X-Key", Secret::op("op://a/b/c")), false),
        (Auth::basic("me", Secret::file("/x")), false),
        (of_client(client()), false),
        (of_client(client().token_url("https://example.com/token").scopes(["a", "b"])), false),
        (of_client(client().secret_in_header()), false),
        (of_client(client().secret_in_body().resource("https://example.com")), false),
        (of_client(client().audience("https://example.com")), true),
        (of_client(key), true),
        (Auth::oauth(person()), false),
        (Auth::oauth(person().client_id("id")), false),
        (Auth::oauth(person().client("id", secret()).scopes(["a"])), false),
        (Auth::oauth(person().client_metadata_url("https://example.com/client")), false),
        (Auth::oauth(person().redirect_uri("http://127.0.0.1:1/callback")), false),
        (Auth::oauth(person().store(FileTokenStore::new("/var/lib/x"))), false),
        (Auth::oauth(person().store(MemoryTokenStore::default())), true),
        (Auth::jwt_bearer(JwtBearer::new(secret())), true),
    ]
}

#[test]
fn secrets_that_stand_in_the_open_are_not_written_again() {
    let stdio = Stdio::new("x")
        .env_from("A", Secret::literal("hunter2-hunter2"))
        .env_literal("API_TOKEN", "abcdef0123456789")
        .env_literal("ODD", "${not.a.reference} \"\u{1}%{if}");
    let remote = StreamableHttp::new("https://example.com/mcp")
        .sensitive_header("X-Api-Key", "abcdef0123456789")
        .auth(Auth::bearer(Secret::literal("hunter2-hunter2")));
    let specs = [ServerSpec::new("a", stdio), ServerSpec::new("b", remote)];
    for converted in [config::to_json(&specs), config::to_hcl(&specs)] {
        let text = &converted.text;
        assert!(!text.contains("hunter2") && !text.contains("abcdef"), "{text}");
        assert_eq!(
            converted.left_out,
            [
                "a: the value of env.A: set the variable A",
                "a: the value of env.API_TOKEN: set the variable API_TOKEN",
                "b: the value of the header x-api-key: set the variable X_API_KEY",
                "b: the secret of its auth: set the variable TOKEN",
            ]
        );
    }
    let odd = Stdio::new("x").env_literal("ODD", "${not.a.reference} \"\u{1}%{if}");
    let odd = [ServerSpec::new("a", odd)];
    assert_eq!(parse(&config::to_json(&odd).text).specs, odd);
    let hcl = config::to_hcl(&odd).text;
    assert_eq!(config::parse_hcl(&hcl, "x.hcl").unwrap().specs, odd, "{hcl}");
}

#[test]
fn a_server_can_be_written_for_each_client() {
    let local = Stdio::new("gh-mcp").args(["stdio", "--log"]).env("GITHUB_TOKEN");
    let local = ServerSpec::new("github", local).prefix("gh");
    let remote = StreamableHttp::new("https://mcp.linear.app/mcp")
        .auth(Auth::bearer(Secret::env("LINEAR_API_KEY")))
        .header("X-Team", "core");
    let remote = ServerSpec::new("linear", remote);
    let snippet = |client, spec| -> Value {
        let snippet = config::snippet(client, spec);
        serde_json::from_str(&snippet.text).unwrap()
    };
    assert_eq!(
        snippet(Client::Claude, &local),
        json!({ "mcpServers": { "github": { "type": "stdio", "command": "gh-mcp",
            "args": ["stdio", "--log"], "env": { "GITHUB_TOKEN": "${GITHUB_TOKEN}" } } } })
    );
    assert_eq!(
        config::snippet(Client::Claude, &local).left_out,
        ["what only callboard knows: prefix"]
    );
    assert_eq!(
        snippet(Client::Cursor, &remote),
        json!({ "mcpServers": { "linear": { "url": "https://mcp.linear.app/mcp",
            "headers": { "x-team": "core", "Authorization": "Bearer ${env:LINEAR_API_KEY}" } } } })
    );
    assert_eq!(snippet(Client::VsCode, &remote)["servers"]["linear"]["type"], "http");
    assert_eq!(
        snippet(Client::OpenCode, &local),
        json!({ "mcp": { "github": { "type": "local", "command": ["gh-mcp", "stdio", "--log"],
            "environment": { "GITHUB_TOKEN": "{env:GITHUB_TOKEN}" }, "enabled": true } } })
    );
    assert_eq!(
        config::snippet(Client::Codex, &local).text,
        "[mcp_servers.github]\ncommand = \"gh-mcp\"\nargs = [\"stdio\",\"--log\"]\n\
         env_vars = [\"GITHUB_TOKEN\"]\n"
    );
    assert_eq!(
        config::snippet(Client::Codex, &remote).text,
        "[mcp_servers.linear]\nurl = \"https://mcp.linear.app/mcp\"\n\
         bearer_token_env_var = \"LINEAR_API_KEY\"\nhttp_headers = { x-team = \"core\" }\n"
    );
    // What is written for a client can be read again.
    for client in Client::ALL {
        for spec in [&local, &remote] {
            let text = config::snippet(client, spec).text;
            let back = match client {
                Client::Codex => config::parse_toml(&text, "x.toml").unwrap(),
                _ => parse(&text),
            };
            assert!(back.faults.is_empty() && back.warnings.is_empty(), "{text}: {back:?}");
            assert_eq!(back.specs[0].name(), spec.name());
        }
    }
}
