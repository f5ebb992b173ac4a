//! What comes back is what the server wrote, and the typed views of it.

#[path = "support/world.rs"]
mod world;

use callboard::{CallError, Content, Delivery, Output, Session};
use serde_json::{json, value::RawValue};
use world::World;

/// A session over the server that answers what it is told to.
async fn puppet(world: &World) -> Session {
    world.open_one(world.script("puppet.py").arg("--log").arg(world.folder().join("log"))).await
}

async fn say(session: &Session, result: &str) -> Result<Output, CallError> {
    session.call("a.say", json!({ "result": result })).await
}

#[test]
fn a_failure_of_the_tool_itself_is_an_output() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("normal")).await;
        let output = session.call("a.fail", ()).await.unwrap();
        assert!(output.is_error());
        assert_eq!(output.text(), "it failed");
    });
}

#[test]
fn an_answer_that_is_no_result_fails_its_own_call_only() {
    world::run(async |world| {
        let session = puppet(&world).await;
        for odd in ["5", "null", "\"x\"", "[]", "{", "{\"a\":01}"] {
            let error = say(&session, odd).await.unwrap_err();
            let told = (error.kind(), error.delivery());
            assert_eq!(told, ("invalid_response", Delivery::Answered), "{odd}: {error}");
        }
        say(&session, "{}").await.unwrap();
        assert_eq!(session.server("a").unwrap().status().epoch, 1);
    });
}

#[test]
fn a_result_is_handed_on_to_the_byte() {
    world::run(async |world| {
        let session = puppet(&world).await;
        for result in [
            r#"{ "content" :  [ {"type":"text","text":"\u00e9\ud83d\ude00"} ],   "isError" : false }"#,
            r#"{"n":123456789012345678901234567890.10,"m":1.0e0,"z":-0.0,"e":1E+400}"#,
            r#"{"twice":1,"twice":2,"content":[],"content":[]}"#,
            "{\"tab\":\t\"é – \u{1f600}\u{2028}\"  }",
            r#"{"jsonrpc":"2.0","id":99,"result":{"id":1},"error":null,"method":"ping"}"#,
        ] {
            assert_eq!(say(&session, result).await.unwrap().raw(), result);
        }
    });
}

#[test]
fn arguments_are_handed_on_to_the_byte() {
    world::run(async |world| {
        let session = puppet(&world).await;
        let raw = r#"{ "result" : "{}",  "n":1234567890123456789012.50, "e": 1e0, "n": "é" }"#;
        let arguments = RawValue::from_string(raw.to_owned()).unwrap();
        session.call("a.say", arguments).await.unwrap();
        let sent = std::fs::read_to_string(world.folder().join("log")).unwrap();
        assert!(sent.contains(raw), "{sent}");
    });
}

#[test]
fn content_is_typed_where_its_type_is_known_and_kept_where_not() {
    world::run(async |world| {
        let session = puppet(&world).await;
        let result = r#"{"content":[{"type":"text","text":"a"},{"type":"hologram","x":[1]},
            {"type":"image","data":"AA==","mimeType":"image/png"},{"type":"text","text":"b"}],
            "structuredContent":{"sum":5,"of":[2,3]}}"#;
        let output = say(&session, &result.replace('\n', " ")).await.unwrap();
        assert_eq!(output.text(), "a\nb");
        let known = |content: &Content| matches!(content, Content::Known(_));
        let content = output.content();
        assert_eq!(content.iter().map(known).collect::<Vec<_>>(), [true, false, true, true]);
        let Content::Unknown(block) = &content[1] else { panic!("{content:?}") };
        assert_eq!(block.get(), r#"{"type":"hologram","x":[1]}"#);
        #[derive(serde::Deserialize)]
        struct Sum {
            sum: u64,
            of: [u64; 2],
        }
        let structured: Sum = output.structured().unwrap().unwrap();
        assert_eq!((structured.sum, structured.of), (5, [2, 3]));
        assert!(output.structured::<Vec<u8>>().is_err());
    });
}
