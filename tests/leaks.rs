//! No secret, in any form, in what others may read: traces at every level, `Debug` of everything
//! public, errors with their sources, events, notifications, stderr (checks 18 and 19 of what went
//! wrong elsewhere).

#[path = "support/capture.rs"]
mod capture;
#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::{
    fmt::{Debug, Write as _},
    sync::Arc,
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use callboard::{
    Auth, Event, Notification, RestartPolicy, Secret, SecretString, Server, ServerSpec, Session,
    StreamableHttp,
};
use capture::captured;
use http_server::{HttpServer, Request, json, refusal, whole};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use remote::LONG;
use serde_json::json as object;
use world::{World, await_status};

/// How many sets of secrets are tried.
const SETS: usize = 6;

/// What a secret may look like; the second kind is hard on every encoding.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9_-]{12,40}", "[!-~]{6,12}[\"\\\\/<>&' %+=][!-~]{6,12}"]
}

/// Everything that was told, as text.
#[derive(Default)]
struct Told(String);

impl Told {
    fn show(&mut self, what: &str, value: &dyn Debug) {
        writeln!(self.0, "{what}: {value:?} {value:#?}").unwrap();
    }

    fn fail(&mut self, what: &str, error: &(dyn std::error::Error + 'static)) {
        self.show(what, &error);
        let mut source = Some(error);
        while let Some(error) = source {
            writeln!(self.0, "{what}: {error} {error:?}").unwrap();
            source = error.source();
        }
    }
}

/// What an indiscreet server says of a value.
fn said(value: &str) -> Vec<String> {
    let mut said = forms(value);
    // What is looked for of these is only the middle.
    said.retain(|form| !is_within(value, form));
    said.extend(["", ":", "::"].map(|before| BASE64_STANDARD.encode(format!("{before}{value}::"))));
    said
}

/// Whether a form is a part of the base64 of something longer.
fn is_within(value: &str, form: &str) -> bool {
    let mut long = [":", "::"].map(|before| BASE64_STANDARD.encode(format!("{before}{value}::")));
    long.iter_mut().any(|long| long.contains(form))
}

/// The forms that this test looks for, made without the library.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned(), BASE64_STANDARD.encode(value)];
    forms.push(BASE64_URL_SAFE_NO_PAD.encode(value));
    // Within something longer, the letters that nothing else has a part in.
    for before in 1..3 {
        let long = BASE64_STANDARD.encode(format!("{}{value}::", &"::"[..before]));
        let inner: String = long.chars().skip(4).collect();
        forms.push(inner[..inner.len().saturating_sub(8)].to_owned());
    }
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    forms.extend([hex.to_uppercase(), hex]);
    let percent = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    forms.push(value.bytes().map(percent).collect());
    let json = serde_json::to_string(value).unwrap();
    forms.push(json[1..json.len() - 1].to_owned());
    forms.push(format!("{value:?}").trim_matches('"').to_owned());
    forms.retain(|form| form.len() >= 6);
    forms
}

/// A server that tells everybody what it was told, in every form, wherever it can.
fn indiscreet(server: &HttpServer) {
    fn told(request: &Request) -> String {
        let shown: Vec<&str> = ["authorization", "x-key"]
            .into_iter()
            .filter_map(|name| request.header(name))
            .flat_map(|value| value.split(' '))
            .collect();
        shown.iter().flat_map(|value| said(value)).collect::<Vec<_>>().join("\n")
    }
    server.on("tools/call echo", |request| json(200, &refusal(request, -32000, &told(request))));
    server.on("tools/call counter", |request| {
        let told = told(request);
        let challenge = format!("Bearer realm=\"{}\"", told.split('\n').next().unwrap_or_default());
        let challenge: String = challenge.chars().filter(|c| !c.is_control()).collect();
        whole(500, &[("WWW-Authenticate", challenge.as_str()), ("Retry-After", "1")], told)
    });
    server.on("tools/call fail", |request| {
        let first = told(request).lines().next().unwrap_or_default().to_owned();
        whole(200, &[("Content-Type", &format!("text/{first}"))], "x")
    });
    server.on("tools/call hold", |request| {
        let error = object!({ "code": -32000, "message": "no", "data": { "was": told(request) } });
        json(200, &object!({ "jsonrpc": "2.0", "id": request.id(), "error": error }))
    });
    server.on("tools/call sleep", |request| {
        let note = object!({ "jsonrpc": "2.0", "method": "notifications/message",
            "params": { "level": "info", "data": told(request) } });
        let answer = refusal(request, -32000, "x");
        vec![
            http_server::events(&[]),
            http_server::event(&note),
            http_server::event(&answer),
            http_server::end_of_events(),
        ]
    });
}

fn gather(told: &mut Told, session: &Session, servers: &[Server]) {
    told.show("session", session);
    told.show("tools", &*session.tools());
    for server in servers {
        let status = server.status();
        told.show("server", server);
        told.show("status", &status);
        told.show("stderr", &server.stderr_tail());
        if let Some(error) = &status.last_error {
            told.fail("last error", error);
        }
    }
}

/// Refuses whatever it is asked, in words that hold its secret.
const REFUSES: &str = r#"
import json, os, sys
for line in sys.stdin:
    error = {"code": -32000, "message": "not with " + os.environ["SECRET"]}
    print(json.dumps({"jsonrpc": "2.0", "id": json.loads(line).get("id"), "error": error}), flush=True)
"#;

/// Servers with a secret wherever one may stand.
fn specs(world: &World, remotes: &[HttpServer; 2], values: &[String; 6]) -> [ServerSpec; 5] {
    let [variable, bearer, key, password, named, _] = values.clone();
    let file = world.folder().join("secret");
    std::fs::write(&file, key).unwrap();
    let child = world
        .hostile("secret-stderr")
        .env_from("TOKEN", Secret::literal(variable))
        .env_from("OTHER", Secret::provider("other"));
    let remote = StreamableHttp::new(remotes[0].url())
        .header_from("X-Key", Secret::file(file))
        .auth(Auth::bearer(Secret::literal(bearer)));
    let basic = Auth::basic("me", Secret::literal(password));
    let basic = StreamableHttp::new(remotes[1].url()).auth(basic);
    // It writes down what it starts with, in two pieces, and is gone.
    let script = "printf %s \"$SECRET\" | head -c 5 >&2; sleep 0.1; \
                  printf %s \"$SECRET\" | tail -c +6 >&2; exit 3";
    let named = Secret::literal(named);
    let dying = world.stdio("sh").args(["-c", script]).env_from("SECRET", named.clone());
    let refusing = world.stdio("python3").args(["-c", REFUSES]).env_from("SECRET", named);
    let specs = [
        ServerSpec::new("child", child),
        ServerSpec::new("remote", remote),
        ServerSpec::new("basic", basic),
        ServerSpec::new("dying", dying),
        ServerSpec::new("opened", refusing).per_call(),
    ];
    specs.map(|spec| spec.restart(RestartPolicy::never()))
}

/// Makes every call that fails, each in its way.
async fn call_all(told: &mut Told, session: &Session) {
    for tool in [
        "child.echo",
        "remote.echo",
        "remote.counter",
        "remote.fail",
        "remote.hold",
        "remote.sleep",
        "basic.echo",
        "basic.counter",
        "basic.fail",
        "basic.hold",
        "opened.echo",
        "nothing",
    ] {
        let outcome = session.call(tool, object!({ "text": "x" })).await;
        told.fail(tool, &outcome.expect_err(tool));
    }
}

/// Lives through starts, calls and losses with these secrets, and gathers what can be read.
async fn live(world: &World, values: &[String; 6]) -> Told {
    let mut told = Told::default();
    let [.., named, provided] = values.clone();
    let remotes = [HttpServer::session(), HttpServer::modern()];
    remotes.iter().for_each(indiscreet);
    // No tool, for want of a schema: a fault of the catalog.
    let nonsense = object!({ "name": values[1], "inputSchema": null });
    remotes[0].configure(|settings| settings.tools.push(nonsense));
    let specs = specs(world, &remotes, values);
    told.show("specs", &specs);
    let builder = world.runtime.session("leaks").servers(specs);
    let builder = builder.secrets([Secret::literal(named)]).secret_provider(move |_: String| {
        let value = SecretString::from(provided.clone());
        async move { Ok(value) }
    });
    told.show("builder", &builder);
    let session = builder.open().await.unwrap();
    let mut events = session.events();
    let mut notifications = session.server("remote").unwrap().notifications();
    session.settled().await;
    let servers = session.servers();
    await_status(&servers[3], LONG, |status| status.last_error.is_some()).await;
    call_all(&mut told, &session).await;
    gather(&mut told, &session, &servers);
    told.show("report", &world.runtime.leak_report());
    let snapshot = world.runtime.snapshot();
    assert!(snapshot.sessions[0].servers.iter().any(|one| one.last_error.is_some()));
    told.show("snapshot", &snapshot);
    writeln!(told.0, "{}", snapshot.to_json()).unwrap();
    told.show("redactor", &session.redactor());
    if let Some(Notification::Message { params, .. }) = notifications.next().await {
        told.show("notification", &params);
    }
    session.close().await;
    gather(&mut told, &session, &servers);
    while let Some(event) = events.next().await {
        told.show("event", &event);
        if let Event::Status { status, .. } = event
            && let Some(error) = &status.last_error
        {
            told.fail("event", error);
        }
    }
    told
}

fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rfind(|at| text.is_char_boundary(*at)).unwrap()
}

/// As many as a file of variables has, and more than there are values of one place that are
/// remembered.
#[test]
fn secrets_that_have_no_name_are_all_redacted() {
    const MANY: usize = 12;
    world::run(async |world| {
        let value = |whose: &str, n: usize| format!("s3cret-of-the-{whose}-{n:02}");
        let mut stdio = world.stdio("sh").args(["-c", "env | grep s3cret >&2; exit 3"]);
        for n in 0..MANY {
            stdio = stdio.env_from(format!("SECRET_{n}"), Secret::literal(value("server", n)));
            let printed = value("program", n);
            stdio = stdio.env_from(format!("PRINTED_{n}"), Secret::exec(["printf", &printed]));
        }
        let literals = (0..MANY).map(|n| Secret::literal(value("session", n)));
        let spec = ServerSpec::new("a", stdio).restart(RestartPolicy::never());
        let builder = world.runtime.session("many").secrets(literals).server(spec);
        let session = builder.open().await.unwrap();
        let server = session.server("a").unwrap();
        await_status(&server, LONG, |status| status.last_error.is_some()).await;
        let written = || server.stderr_tail().len() >= 2 * MANY;
        world::eventually(LONG, "what it wrote is read", written).await;
        let mut told = Told::default();
        gather(&mut told, &session, &[server]);
        for n in 0..MANY {
            for (whose, name) in [("server", "SECRET"), ("program", "PRINTED")] {
                let line = format!("{name}_{n}=[redacted]");
                assert!(told.0.contains(&line), "{line}: {}", told.0);
                assert!(!told.0.contains(&value(whose, n)), "{whose} {n}: {}", told.0);
            }
            let own = session.redactor().redact(&value("session", n)).into_owned();
            assert_eq!(own, "[redacted]", "{n}");
        }
        session.close().await;
    });
}

/// Check 19.
#[test]
fn no_secret_is_in_anything_that_others_may_read() {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = ALONE.lock().unwrap();
    let mut runner = TestRunner::default();
    for set in 0..SETS {
        let values: [String; 6] =
            std::array::from_fn(|_| secret().new_tree(&mut runner).unwrap().current());
        capture::begin();
        let shown = values.clone();
        world::run(async |world| {
            let world: Arc<World> = world;
            let told = live(&world, &values).await;
            let traced = captured(|all| format!("{all:?}"));
            assert!(traced.contains("status changed"), "nothing was traced");
            assert!(told.0.contains("[redacted]"), "nothing was told");
            for (place, value) in shown.iter().enumerate() {
                for form in forms(value) {
                    for (what, text) in [("told", &told.0), ("traced", &traced)] {
                        if let Some(at) = text.find(&form) {
                            let from = boundary(text, at.saturating_sub(200));
                            let to = boundary(text, at + form.len() + 60);
                            panic!(
                                "set {set}: secret {place} ({value:?}) is {what} as {form:?}: {}",
                                &text[from..to]
                            );
                        }
                    }
                }
            }
        });
    }
}
