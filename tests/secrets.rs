//! Secrets: where they come from, when, and whom they reach (CK-19, CK-20, CK-22, CK-25, FX-20).

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use callboard::{
    Auth, ConnectError, Delivery, HttpSse, OpenError, Phase, RestartPolicy, Secret, SecretCause,
    SecretError, SecretString, ServerError, ServerSpec, Session, SpecError, StreamableHttp,
};
use http_server::{HttpServer, Step, json, redirect};
use remote::{LONG, ended, open, quick, ready_in, remote};
use serde_json::json as object;
use world::{World, await_status, eventually};

const BASE: [&str; 7] = ["PATH", "HOME", "LANG", "TERM", "TMPDIR", "USER", "SHELL"];

fn environment(session: &Session) -> BTreeMap<String, String> {
    let pid = session.server("a").unwrap().status().pid.unwrap();
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let all = text.split_terminator('\0').map(|entry| entry.split_once('=').unwrap());
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Without what every child has.
fn declared(session: &Session) -> BTreeMap<String, String> {
    let mut all = environment(session);
    all.retain(|name, _| {
        !BASE.contains(&name.as_str()) && !name.starts_with("LC_") && name != "CALLBOARD_TEST_WORLD"
    });
    all
}

fn write(world: &World, name: &str, text: &str) -> std::path::PathBuf {
    let path = world.folder().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Why the server `a` is not up.
async fn fault(session: &Session) -> Arc<SecretError> {
    let server = session.server("a").unwrap();
    let status = await_status(&server, LONG, |status| status.last_error.is_some()).await;
    match status.last_error.unwrap() {
        ServerError::Connect(error) => match &*error {
            ConnectError::Secret(error) => Arc::clone(error),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// A session whose only server cannot get this secret.
async fn without(world: &World, secret: Secret) -> (Session, Arc<SecretError>) {
    let spec = ServerSpec::new("a", world.echo().env_from("TOKEN", secret));
    let session = world.open([spec.restart(RestartPolicy::never())]).await;
    let fault = fault(&session).await;
    (session, fault)
}

#[test]
fn secrets_of_every_kind_reach_their_child_and_nothing_else_does() {
    world::run(async |world| {
        let file = write(&world, "token", "from-a-file\r\n");
        let stdio = world
            .echo()
            .env("CARGO_PKG_VERSION")
            .env_literal("PLAIN", "text")
            .env_from("LITERAL", Secret::literal("as-it-is"))
            .env_from("RENAMED", Secret::env("CARGO_MANIFEST_DIR"))
            .env_from("FILE", Secret::file(file))
            .env_from("EXEC", Secret::exec(["sh", "-c", "echo from-a-program"]))
            .env_from("PROVIDED", Secret::provider("vault/a"));
        let builder = world.runtime.session("test").server(ServerSpec::new("a", stdio));
        let provider = |name: String| async move { Ok(SecretString::from(format!("of {name}"))) };
        let session = builder.secret_provider(provider).open().await.unwrap();
        session.settled().await;
        let expected = [
            ("CARGO_PKG_VERSION", env!("CARGO_PKG_VERSION")),
            ("PLAIN", "text"),
            ("LITERAL", "as-it-is"),
            ("RENAMED", env!("CARGO_MANIFEST_DIR")),
            ("FILE", "from-a-file"),
            ("EXEC", "from-a-program"),
            ("PROVIDED", "of vault/a"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(declared(&session), expected);
        session.close().await;
    });
}

/// In a process of its own, for `op` is found on the PATH of the host.
#[test]
fn one_password_is_asked_by_its_program_without_a_shell() {
    const NAME: &str = "one_password_is_asked_by_its_program_without_a_shell";
    if std::env::var_os("OP_TEST_ACCOUNT").is_none() {
        return world::run(async |world| {
            let op = write(
                &world,
                "op",
                "#!/bin/sh\nprintf '%s|' \"$@\"\nprintf '%s|%s' \"$OP_TEST_ACCOUNT\" \"$OTHER\"\n",
            );
            std::fs::set_permissions(&op, std::fs::Permissions::from_mode(0o700)).unwrap();
            let path = std::env::var("PATH").unwrap();
            let path = format!("{}:{path}", world.folder().display());
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args([NAME, "--exact", "--nocapture"]);
            let child = child.env("PATH", path).env("OP_TEST_ACCOUNT", "mine").env("OTHER", "x");
            let ended = child.output().unwrap();
            let text = String::from_utf8_lossy(&ended.stdout);
            assert!(ended.status.success() && text.contains("1 passed"), "{text}");
        });
    }
    world::run(async |world| {
        let stdio = world.echo().env_from("TOKEN", Secret::op("op://vault/$(id)/field; id"));
        let session = world.open_one(stdio).await;
        let said = "read|--no-newline|--|op://vault/$(id)/field; id|mine|";
        assert_eq!(declared(&session)["TOKEN"], said);
        session.close().await;
    });
}

#[test]
fn a_secret_is_resolved_at_each_start_anew() {
    world::run(async |world| {
        let file = write(&world, "token", "the-first");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let provider = move |_: String| {
            let turn = count.fetch_add(1, Ordering::SeqCst);
            async move { Ok(SecretString::from(format!("turn-{turn}"))) }
        };
        let stdio = world
            .echo()
            .env_from("FILE", Secret::file(&file))
            .env_from("TURN", Secret::provider("turn"));
        let builder = world.runtime.session("test").secret_provider(provider);
        let builder = builder.server(quick("a", stdio));
        assert_eq!(asked.load(Ordering::SeqCst), 0, "a declaration resolves nothing");
        let session = builder.open().await.unwrap();
        session.settled().await;
        assert_eq!(declared(&session)["FILE"], "the-first");
        assert_eq!(declared(&session)["TURN"], "turn-0");
        std::fs::write(&file, "the-second").unwrap();
        session.server("a").unwrap().restart();
        await_status(&session.server("a").unwrap(), LONG, ready_in(2)).await;
        assert_eq!(declared(&session)["FILE"], "the-second");
        assert_eq!(declared(&session)["TURN"], "turn-1");
        session.close().await;
    });
}

#[test]
fn a_secret_that_cannot_be_had_is_named_and_its_server_does_not_start() {
    world::run(async |world| {
        let missing = world.folder().join("missing");
        let empty = write(&world, "empty", "\n");
        let huge = write(&world, "huge", &"x".repeat(70_000));
        type Wanted = fn(&SecretCause) -> bool;
        let cases: [(Secret, &str, Wanted); 8] = [
            (Secret::env("CALLBOARD_NOT_SET"), "CALLBOARD_NOT_SET", |cause| {
                matches!(cause, SecretCause::Unset)
            }),
            (Secret::file(&missing), "missing", |cause| {
                matches!(cause, SecretCause::Unreadable(_))
            }),
            (Secret::file(&empty), "empty", |cause| matches!(cause, SecretCause::Empty)),
            (Secret::file(&huge), "huge", |cause| matches!(cause, SecretCause::TooLarge { .. })),
            (Secret::exec(["/no/such/program"]), "/no/such/program", |cause| {
                matches!(cause, SecretCause::Unreadable(_))
            }),
            (
                Secret::exec(["sh", "-c", "echo out; echo why >&2; exit 3"]),
                "exec sh",
                |cause| matches!(cause, SecretCause::Failed { code: Some(3), said } if said == "why"),
            ),
            (Secret::provider("linear"), "linear", |cause| {
                matches!(cause, SecretCause::NoProvider)
            }),
            (Secret::literal("a\0b"), "literal", |cause| matches!(cause, SecretCause::Unfit)),
        ];
        for (secret, name, wanted) in cases {
            let (session, fault) = without(&world, secret).await;
            assert!(fault.reference.contains(name) && wanted(&fault.cause), "{fault:?}");
            assert!(fault.to_string().contains(name), "{fault}");
            assert_eq!(session.server("a").unwrap().status().phase, Phase::Failed);
            assert!(world.processes().is_empty(), "it was started");
            session.close().await;
        }
        let builder = world.runtime.session("test").secrets([Secret::env("CALLBOARD_NOT_SET")]);
        let error = builder.server(ServerSpec::new("a", world.echo())).open().await.unwrap_err();
        assert!(matches!(&error, OpenError::Secret(_)), "{error:?}");
    });
}

#[test]
fn a_variable_that_is_not_set_is_not_looked_for_again() {
    world::run(async |world| {
        let stdio = world.echo().env_from("TOKEN", Secret::env("CALLBOARD_NOT_SET"));
        let session = world.open([quick("a", stdio)]).await;
        let status = session.server("a").unwrap().status();
        assert_eq!((status.phase, status.epoch), (Phase::Failed, 1));
        session.close().await;
    });
}

#[test]
fn a_program_that_hangs_is_stopped_with_all_that_it_started() {
    world::run(async |world| {
        let pids = world.folder().join("pids");
        let script = format!("sleep 600 & echo $! $$ > {}; wait", pids.display());
        let stdio = world.echo().env_from("TOKEN", Secret::exec(["sh", "-c", &script]));
        let spec = ServerSpec::new("a", stdio).restart(RestartPolicy::never());
        let session = world.runtime.session("test").server(spec).open().await.unwrap();
        let written = || std::fs::read_to_string(&pids).unwrap_or_default().ends_with('\n');
        eventually(LONG, "it runs", written).await;
        assert_eq!(world.runtime.leak_report().processes.len(), 1);
        session.close().await;
        for pid in std::fs::read_to_string(&pids).unwrap().split_whitespace() {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            assert!(state.is_empty() || state.contains(") Z "), "{pid} lives: {state}");
        }
    });
}

#[test]
fn headers_from_secrets_stand_on_every_request_and_are_resolved_for_each_link() {
    world::run(async |world| {
        let mut server = HttpServer::session();
        let file = write(&world, "key", "key-one");
        let transport = StreamableHttp::new(server.url())
            .header_from("X-Api-Key", Secret::file(&file))
            .auth(Auth::bearer(Secret::literal("t0ken-literal")));
        assert!(!format!("{transport:?}").contains("t0ken-literal"));
        let session = open(&world, quick("a", transport)).await;
        session.call("a.echo", object!({ "text": "x" })).await.unwrap();
        for exchange in server.requests() {
            assert_eq!(exchange.request.header("x-api-key"), Some("key-one"));
            assert_eq!(exchange.request.header("authorization"), Some("Bearer t0ken-literal"));
        }
        let before = server.requests().len();
        std::fs::write(&file, "key-two").unwrap();
        server.kill();
        server.revive();
        await_status(&session.server("a").unwrap(), LONG, |status| {
            status.is_ready() && status.epoch > 1
        })
        .await;
        let after = server.requests().split_off(before);
        let last = after.last().unwrap();
        assert_eq!(last.request.header("x-api-key"), Some("key-two"));
        session.close().await;
    });
}

#[test]
fn each_kind_of_authorization_is_shown_as_its_rfc_says() {
    world::run(async |world| {
        let cases = [
            (Auth::bearer(Secret::literal("abc-123")), "authorization", "Bearer abc-123"),
            (Auth::api_key("X-API-Key", Secret::literal("abc-123")), "x-api-key", "abc-123"),
            (
                Auth::basic("Aladdin", Secret::literal("open sesame")),
                "authorization",
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            ),
        ];
        for (auth, header, value) in cases {
            let server = HttpServer::modern();
            let session =
                open(&world, quick("a", StreamableHttp::new(server.url()).auth(auth))).await;
            session.call("a.echo", object!({ "text": "x" })).await.unwrap();
            for exchange in server.requests() {
                assert_eq!(exchange.request.header(header), Some(value));
            }
            session.close().await;
        }
    });
}

#[test]
fn the_older_transport_is_authorized_on_both_of_its_ways() {
    world::run(async |world| {
        let server = HttpServer::sse();
        let transport = HttpSse::new(server.url()).auth(Auth::bearer(Secret::literal("abc-12345")));
        let session = open(&world, quick("a", transport)).await;
        session.call("a.echo", object!({ "text": "x" })).await.unwrap();
        assert!(server.count("GET") == 1 && server.count("tools/call") == 1);
        for exchange in server.requests() {
            assert_eq!(exchange.request.header("authorization"), Some("Bearer abc-12345"));
        }
        session.close().await;
    });
}

#[test]
fn a_secret_is_not_looked_up_for_each_of_the_calls_that_are_refused() {
    world::run(async |world| {
        let server = HttpServer::session();
        let looks = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&looks);
        let provider = move |_: String| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Ok(SecretString::from("t0ken-12345")) }
        };
        let auth = Auth::bearer(Secret::provider("token"));
        let builder = world.runtime.session("test").secret_provider(provider);
        let transport = StreamableHttp::new(server.url()).auth(auth);
        let session = builder.server(quick("a", transport)).open().await.unwrap();
        session.settled().await;
        assert_eq!(looks.load(Ordering::SeqCst), 1);
        server.on("tools/call", |_| {
            let refused = json(401, &object!({ "error": "invalid_token" }));
            std::iter::once(Step::Hold).chain(refused).collect()
        });
        let call = || tokio::spawn(ended(session.call("a.echo", object!({ "text": "x" }))));
        let calls: Vec<_> = (0..100).map(|_| call()).collect();
        eventually(LONG, "it has the calls", || server.held() == 100).await;
        server.release();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap_err().kind(), "http_status");
        }
        assert_eq!(looks.load(Ordering::SeqCst), 2);
        session.close().await;
    });
}

#[test]
fn a_refused_token_is_looked_up_again_once_for_all_calls() {
    world::run(async |world| {
        let server = HttpServer::session();
        let file = write(&world, "token", "t0ken-one");
        let auth = Auth::bearer(Secret::file(&file));
        let session = open(&world, quick("a", StreamableHttp::new(server.url()).auth(auth))).await;
        server.on("tools/call", |request| match request.header("authorization") {
            Some("Bearer t0ken-two") => vec![Step::Proper],
            _ => json(401, &object!({ "error": "invalid_token" })),
        });
        let refused = session.call("a.echo", object!({ "text": "x" })).await.unwrap_err();
        assert_eq!(refused.kind(), "http_status");
        assert_eq!(server.count("tools/call"), 1, "the same token is not shown twice");
        assert_eq!(refused.delivery(), Delivery::Answered);
        std::fs::write(&file, "t0ken-two").unwrap();
        let calls: Vec<_> = (0..100)
            .map(|_| tokio::spawn(ended(session.call("a.echo", object!({ "text": "x" })))))
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().text(), "x");
        }
        assert_eq!(session.server("a").unwrap().status().epoch, 1);
        session.close().await;
    });
}

#[test]
fn a_redirect_to_another_origin_carries_no_credential() {
    world::run(async |world| {
        let elsewhere = HttpServer::session();
        let server = HttpServer::session();
        let transport = StreamableHttp::new(server.url())
            .header_from("X-Api-Key", Secret::literal("key-12345"))
            .auth(Auth::bearer(Secret::literal("t0ken-12345")));
        let session = open(&world, quick("a", transport)).await;
        let target = elsewhere.url();
        server.on("tools/call", move |_| redirect(307, &target));
        let error = session.call("a.echo", object!({ "text": "x" })).await.unwrap_err();
        assert_eq!(error.kind(), "transport_down", "{error}");
        assert!(elsewhere.requests().is_empty(), "{:?}", elsewhere.requests());
        session.close().await;
    });
}

#[test]
fn authorization_that_cannot_be_shown_is_refused_before_anything_starts() {
    world::run(async |world| {
        let twice = StreamableHttp::new("https://example.com/mcp")
            .header("Authorization", "Bearer x")
            .auth(Auth::bearer(Secret::literal("x")));
        let reserved = StreamableHttp::new("https://example.com/mcp")
            .auth(Auth::api_key("Mcp-Session-Id", Secret::literal("x")));
        let nameless = StreamableHttp::new("https://example.com/mcp")
            .auth(Auth::api_key("no name", Secret::literal("x")));
        for transport in [twice, reserved, nameless] {
            let spec = ServerSpec::new("a", transport);
            let error = world.runtime.session("test").server(spec).open().await.unwrap_err();
            let OpenError::Spec(faults) = &error else { panic!("{error:?}") };
            assert!(matches!(faults[..], [SpecError::InvalidHeader { .. }]), "{faults:?}");
        }
    });
}

#[test]
fn a_secret_of_one_server_does_not_leave_for_another_where_the_session_wants_that() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let own =
            StreamableHttp::new(server.url()).auth(Auth::bearer(Secret::literal("of-b-12345")));
        let specs = [
            ServerSpec::new("a", world.echo().env_from("T", Secret::literal("of-a-12345"))),
            ServerSpec::new("b", own),
        ];
        let builder = world.runtime.session("test").servers(specs).egress_scope();
        let session = builder.open().await.unwrap();
        session.settled().await;
        let calls = server.count("tools/call");
        for text in ["of-a-12345", "b2YtYS0xMjM0NQ==", "6f662d612d3132333435"] {
            let call = session.call("b.echo", object!({ "text": format!("<{text}>") }));
            let error = call.await.unwrap_err();
            assert_eq!(error.kind(), "secret_out_of_scope", "{text}");
            assert!(!format!("{error} {error:?}").contains(text));
        }
        let large = format!("{}of-a-12345", "x".repeat(200_000));
        let call = session.call("b.echo", object!({ "text": large })).await.unwrap_err();
        assert_eq!(call.kind(), "secret_out_of_scope");
        assert_eq!(server.count("tools/call"), calls, "nothing has left");
        let own = session.call("b.echo", object!({ "text": "of-b-12345" })).await.unwrap();
        assert_eq!(own.text(), "of-b-12345");
        session.close().await;
    });
}

#[test]
fn results_are_redacted_only_where_the_session_wants_that() {
    world::run(async |world| {
        for wanted in [false, true] {
            let stdio = world.echo().env_from("TOKEN", Secret::literal("s3cret-value"));
            let builder = world.runtime.session("test").server(ServerSpec::new("a", stdio));
            let builder = if wanted { builder.redact_results() } else { builder };
            let session = builder.open().await.unwrap();
            session.settled().await;
            let output = session.call("a.echo", object!({ "text": "is s3cret-value" })).await;
            let expected = if wanted { "is [redacted]" } else { "is s3cret-value" };
            assert_eq!(output.unwrap().text(), expected);
            assert_eq!(session.redactor().redact("s3cret-value"), "[redacted]");
            session.close().await;
        }
    });
}

/// The answers of a server that tells a secret in each.
fn tell(server: &HttpServer) {
    let told = "is s3cret-value";
    let skill = object!({ "uri": "skill://count/SKILL.md", "resources": "dynamic",
        "frontmatter": { "name": "count", "description": told } });
    let capabilities = object!({ "tools": {}, "resources": {}, "prompts": {},
        "extensions": { "io.modelcontextprotocol/skills": {} } });
    for (method, result) in [
        (
            "server/discover",
            object!({ "supportedVersions": ["2026-07-28"], "capabilities": capabilities,
                "serverInfo": { "name": "teller", "version": "1" } }),
        ),
        ("resources/list", object!({ "resources": [{ "uri": "note://a", "name": told }] })),
        (
            "resources/templates/list",
            object!({ "resourceTemplates": [{ "uriTemplate": "note://{x}", "name": told }] }),
        ),
        ("prompts/list", object!({ "prompts": [{ "name": "p", "description": told }] })),
        ("skills/list", object!({ "skills": [skill] })),
        ("skills/get", object!({ "skill": skill })),
        ("tasks/get", object!({ "taskId": "t", "status": "working", "statusMessage": told })),
    ] {
        server.on(method, move |request| {
            let mut result = result.clone();
            result["resultType"] = object!("complete");
            let id = &request.message["id"];
            json(200, &object!({ "jsonrpc": "2.0", "id": id, "result": result }))
        });
    }
}

#[test]
fn lists_and_tasks_are_redacted_like_results() {
    world::run(async |world| {
        for wanted in [false, true] {
            let server = HttpServer::modern();
            tell(&server);
            let auth = Auth::bearer(Secret::literal("s3cret-value"));
            let transport = StreamableHttp::new(server.url()).auth(auth);
            let builder = world.runtime.session("test").server(ServerSpec::new("a", transport));
            let builder = if wanted { builder.redact_results() } else { builder };
            let session = builder.open().await.unwrap();
            session.settled().await;
            let teller = session.server("a").unwrap();
            let mut all = vec![
                teller.resources().await.unwrap()[0].raw().to_owned(),
                teller.resource_templates().await.unwrap()[0].raw().to_owned(),
                teller.prompts().await.unwrap()[0].raw().to_owned(),
                teller.task("t").state().await.unwrap().get().to_owned(),
            ];
            #[cfg(feature = "skills")]
            {
                all.push(format!("{:?}", teller.skills().await.unwrap()[0].described()));
                let skill = teller.skill("skill://count/SKILL.md").await.unwrap();
                all.push(format!("{:?}", skill.described()));
            }
            for text in all {
                assert_eq!(text.contains("is s3cret-value"), !wanted, "{text}");
                assert_eq!(text.contains("is [redacted]"), wanted, "{text}");
            }
            session.close().await;
        }
    });
}

#[test]
fn every_request_is_as_before_where_nothing_is_declared() {
    world::run(async |world| {
        let server = HttpServer::session();
        let session = open(&world, remote(&server)).await;
        session.call("a.echo", object!({ "text": "x" })).await.unwrap();
        for exchange in server.requests() {
            assert_eq!(exchange.request.header("authorization"), None);
        }
        session.close().await;
    });
}
