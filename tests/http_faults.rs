//! Whatever goes wrong with one request over HTTP fails that one, with its kind, its cause and a
//! true delivery; the link and its other calls go on (check 14).

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::time::{Duration, SystemTime};

use callboard::{CallError, Delivery, HttpError};
use http_server::{
    End, HttpServer, Request, Step, answer, chunk, end_of_events, event, events, json, lines,
    refusal, status, whole,
};
use remote::{LONG, each, ended, fails, remote};
use serde_json::{Value, json as object};
use world::eventually;

fn result(request: &Request) -> Value {
    answer(request, &object!({ "content": [{ "type": "text", "text": "it" }] }))
}

#[test]
fn a_status_that_is_no_answer_is_told_with_what_came_with_it() {
    world::run(async |world| {
        each(&world, async |server, session| {
            for code in [400, 402, 403, 405, 409, 418, 429, 500, 501, 502, 503, 504, 529, 599] {
                let error = fails(server, session, move |_| {
                    whole(code, &[("Content-Type", "text/html")], "<h1>no</h1>\n<p>more</p>")
                })
                .await;
                let CallError::HttpStatus { status, error: cause, .. } = &error else {
                    panic!("{code}: {error:?}")
                };
                assert_eq!((*status, cause.status()), (code, Some(code)));
                assert!(error.to_string().contains("<h1>no</h1>"), "{error}");
                // 429 says that it was not taken (RFC 6585, 4).
                assert_eq!(error.delivery() == Delivery::NotSent, code == 429, "{code}");
                assert_eq!(error.retry_after(), None);
            }
        })
        .await;
    });
}

#[test]
fn the_beginning_of_a_long_refusal_is_enough() {
    world::run(async |world| {
        each(&world, async |server, session| {
            let error =
                fails(server, session, |_| whole(500, &[], "ab\u{e9}".repeat(1 << 20))).await;
            let CallError::HttpStatus { error, .. } = &error else { panic!("{error:?}") };
            let HttpError::Status { body, .. } = &**error else { panic!("{error:?}") };
            assert!(body.starts_with("abéab") && body.len() <= 64 << 10, "{}", body.len());
        })
        .await;
    });
}

/// A moment as HTTP writes it (RFC 9110, 5.6.7); the calendar as in "days from civil", backwards.
fn http_date(moment: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let seconds = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut day) = (1970, days);
    let length = |year: u64| if is_leap(year) { 366 } else { 365 };
    while day >= length(year) {
        day -= length(year);
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 0;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let weekday = DAYS[usize::try_from(days % 7).unwrap()];
    let name = &MONTHS[month * 3..month * 3 + 3];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{weekday}, {:02} {name} {year} {hour:02}:{minute:02}:{second:02} GMT", day + 1)
}

fn is_leap(year: u64) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

#[test]
fn retry_after_is_understood_in_seconds_and_as_a_date() {
    let leap_day = SystemTime::UNIX_EPOCH + Duration::from_secs(951_782_400);
    assert_eq!(http_date(leap_day), "Tue, 29 Feb 2000 00:00:00 GMT");
    world::run(async |world| {
        each(&world, async |server, session| {
            let wait = async |value: String| {
                let error = fails(server, session, move |_| {
                    whole(429, &[("Retry-After", &value)], "slow down")
                });
                let error = error.await;
                assert_eq!(error.kind(), "http_status");
                error.retry_after()
            };
            assert_eq!(wait("7".into()).await, Some(Duration::from_secs(7)));
            assert_eq!(wait("0".into()).await, Some(Duration::ZERO));
            let minute = Duration::from_secs(60);
            let told = wait(http_date(SystemTime::now() + minute)).await.unwrap();
            assert!(told <= minute && told > minute / 2, "{told:?}");
            let past = wait(http_date(SystemTime::now() - minute)).await;
            assert!(past.is_none_or(|past| past.is_zero()), "{past:?}");
            for nonsense in ["soon", "-1", "", "1.5", "99999999999999999999999"] {
                let told = wait(nonsense.into()).await;
                assert!(told.is_none_or(|told| told > minute), "{nonsense}: {told:?}");
            }
        })
        .await;
    });
}

#[test]
fn what_makes_no_sense_is_an_invalid_response_at_once() {
    type Nonsense = (&'static str, fn(&Request) -> Vec<Step>);
    const NONSENSE: [Nonsense; 13] = [
        ("html", |_| whole(200, &[("Content-Type", "text/html")], "<html>Log in</html>")),
        ("text", |request| {
            whole(200, &[("Content-Type", "text/plain")], result(request).to_string())
        }),
        ("no type", |_| whole(200, &[], "hello")),
        ("nothing", |_| status(200)),
        ("nothing, as JSON", |_| whole(200, &[("Content-Type", "application/json")], "")),
        ("202", |_| status(202)),
        ("204", |_| vec![Step::Bytes(lines(&["HTTP/1.1 204 No Content"]))]),
        ("half of it", |request| {
            let text = result(request).to_string();
            whole(200, &[("Content-Type", "application/json")], &text[..text.len() / 2])
        }),
        ("no message", |_| json(200, &object!({ "hello": "world" }))),
        ("no object", |_| json(200, &object!("hello"))),
        ("an empty batch", |_| json(200, &object!([]))),
        ("another's answer", |_| {
            json(200, &object!({ "jsonrpc": "2.0", "id": 4711, "result": {} }))
        }),
        ("no UTF-8", |request| {
            let mut text = result(request).to_string().into_bytes();
            let place = text.windows(4).position(|four| four == b"\"it\"").unwrap();
            text[place + 1] = 0xff;
            whole(200, &[("Content-Type", "application/json")], text)
        }),
    ];
    world::run(async |world| {
        each(&world, async |server, session| {
            for (what, nonsense) in NONSENSE {
                let error = fails(server, session, nonsense).await;
                assert_eq!(error.kind(), "invalid_response", "{what}: {error:?}");
                assert_eq!(error.delivery(), Delivery::Answered, "{what}");
            }
        })
        .await;
    });
}

/// A JSON-RPC error is an answer, whatever HTTP says of it.
#[test]
fn an_error_in_the_body_counts_more_than_the_status() {
    world::run(async |world| {
        each(&world, async |server, session| {
            for code in [200, 400, 403, 409, 422, 429, 500, 503] {
                let error = fails(server, session, move |request| {
                    json(code, &refusal(request, -32602, "no such city"))
                })
                .await;
                let CallError::Rejected { code: told, message, .. } = &error else {
                    panic!("{code}: {error:?}")
                };
                assert_eq!((*told, message.as_str()), (-32602, "no such city"));
                assert_eq!(error.delivery(), Delivery::Answered);
            }
        })
        .await;
    });
}

#[test]
fn an_answer_that_stalls_costs_the_idle_timeout_and_no_more() {
    type Stall = (&'static str, fn(&Request) -> Vec<Step>);
    const STALLS: [Stall; 6] = [
        ("nothing", |_| vec![Step::Hold]),
        ("half a head", |_| vec![Step::Bytes(b"HTTP/1.1 200 O".to_vec()), Step::Hold]),
        ("a slow head", |_| {
            let head = lines(&["HTTP/1.1 200 OK", "Content-Type: application/json"]);
            vec![Step::Drip(head, Duration::from_millis(50)), Step::Hold]
        }),
        ("no body", |_| {
            let head = ["HTTP/1.1 200 OK", "Content-Type: application/json", "Content-Length: 99"];
            vec![Step::Bytes(lines(&head)), Step::Hold]
        }),
        ("no event", |_| vec![events(&[]), Step::Hold]),
        ("half an event", |_| vec![events(&[]), chunk("data: {\"jsonrpc\":"), Step::Hold]),
    ];
    world::run(async |world| {
        each(&world, async |server, session| {
            for (what, stall) in STALLS {
                server.on("tools/call echo", stall);
                let call = session.call("a.echo", ()).idle_timeout(Duration::from_millis(300));
                let error = ended(call).await.unwrap_err();
                assert_eq!(
                    (error.kind(), error.delivery()),
                    ("timed_out", Delivery::MaybeSent),
                    "{what}"
                );
                let end = || server.seen("tools/call echo").pop().unwrap().end();
                eventually(LONG, "its connection is closed", || end().is_some()).await;
            }
        })
        .await;
    });
}

/// Comments keep a connection alive, but they are no progress.
#[test]
fn comments_do_not_hold_a_call_for_ever() {
    world::run(async |world| {
        each(&world, async |server, session| {
            server.on("tools/call echo", |_| {
                let beat = || [chunk(": still here\n\n"), Step::Pause(Duration::from_millis(50))];
                std::iter::once(events(&[])).chain((0..400).flat_map(|_| beat())).collect()
            });
            let call = session.call("a.echo", ()).idle_timeout(Duration::from_millis(400));
            assert_eq!(ended(call).await.unwrap_err().kind(), "timed_out");
        })
        .await;
    });
}

#[test]
fn an_answer_that_breaks_is_a_call_that_is_lost_alone() {
    type Break = (&'static str, fn(&Request) -> Vec<Step>);
    const BREAKS: [Break; 9] = [
        ("reset before the head", |_| vec![Step::Reset]),
        ("closed before the head", |_| vec![Step::Close]),
        ("half a head", |_| vec![Step::Bytes(b"HTTP/1.1 200 O".to_vec()), Step::Reset]),
        ("no HTTP", |_| vec![Step::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec()), Step::Close]),
        ("half a body", |_| {
            let head = ["HTTP/1.1 200 OK", "Content-Type: application/json", "Content-Length: 99"];
            vec![Step::Bytes(lines(&head)), Step::Bytes(b"{\"json".to_vec()), Step::Close]
        }),
        ("no event", |_| vec![events(&[]), Step::Reset]),
        ("half an event", |_| vec![events(&[]), chunk("data: {\"jsonrpc\":"), Step::Reset]),
        ("no answer", |_| {
            let told = object!({ "jsonrpc": "2.0", "method": "notifications/message" });
            vec![events(&[]), event(&told), end_of_events()]
        }),
        ("a bad chunk", |_| {
            vec![events(&[]), Step::Bytes(b"xyz\r\nwhat\r\n".to_vec()), Step::Close]
        }),
    ];
    world::run(async |world| {
        each(&world, async |server, session| {
            for (what, cut) in BREAKS {
                let error = fails(server, session, cut).await;
                assert_eq!(error.kind(), "transport_down", "{what}: {error:?}");
                assert_eq!(error.delivery(), Delivery::MaybeSent, "{what}: {error:?}");
                remote::http_error(&error);
            }
        })
        .await;
    });
}

/// What comes behind an answer is nobody's, and keeps nobody.
#[test]
fn a_stream_that_goes_on_behind_its_answer_is_let_go() {
    world::run(async |world| {
        each(&world, async |server, session| {
            server.on("tools/call echo", |request| {
                vec![events(&[]), event(&result(request)), Step::Hold]
            });
            for _ in 0..50 {
                assert_eq!(ended(session.call("a.echo", ())).await.unwrap().text(), "it");
            }
            let open = || {
                let seen = server.seen("tools/call echo");
                seen.iter().filter(|exchange| exchange.end() != Some(End::Abandoned)).count()
            };
            eventually(LONG, "they are closed", || open() == 0).await;
            server.on("tools/call echo", |request| {
                let more = Step::Repeat(vec![b':'; 1 << 16], 1 << 20);
                vec![events(&[]), event(&result(request)), more]
            });
            assert_eq!(ended(session.call("a.echo", ())).await.unwrap().text(), "it");
            eventually(LONG, "the flood is closed", || open() == 0).await;
        })
        .await;
    });
}

/// One bad server, and one that has to stay unaffected by it.
#[test]
fn a_bad_server_does_not_disturb_its_siblings() {
    world::run(async |world| {
        let (bad, good) = (HttpServer::modern(), HttpServer::modern());
        let spec = remote::quick("b", callboard::StreamableHttp::new(good.url()));
        let session = world.open([remote(&bad), spec]).await;
        bad.on("tools/call echo", |_| vec![Step::Hold]);
        let stuck: Vec<_> = (0..200)
            .map(|_| {
                let call = session.call("a.echo", ()).idle_timeout(Duration::from_secs(3));
                tokio::spawn(call.into_future())
            })
            .collect();
        eventually(LONG, "all are stuck", || bad.held() == 200).await;
        for n in 0..500 {
            let call = session.call("b.echo", object!({ "text": n.to_string() }));
            let call = call.idle_timeout(Duration::from_secs(2));
            assert_eq!(call.await.unwrap().text(), n.to_string());
        }
        for call in stuck {
            assert_eq!(call.await.unwrap().unwrap_err().kind(), "timed_out");
        }
        for server in session.servers() {
            let status = server.status();
            assert!(status.is_ready() && status.epoch == 1, "{status:?}");
        }
    });
}
