//! What the servers list is what the host sees: every good tool, every field, under a name that
//! no neighbour can change.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{Catalog, CatalogFault, ServerSpec};
use serde_json::json;
use tokio::time::Instant;

fn ids(catalog: &Catalog) -> Vec<&str> {
    catalog.iter().map(|tool| tool.id()).collect()
}

fn assert_llm_name(name: &str) {
    let safe = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    assert!(safe && !name.is_empty() && name.len() <= 64, "{name:?}");
}

#[test]
fn one_bad_tool_does_not_hide_the_others() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("wrong-shape")).await;
        let catalog = session.tools();
        let output = session.call("a.echo", json!({ "text": "x" })).await.unwrap();
        assert_eq!(output.text(), "x");
        for kept in ["self_ref", "remote_ref", "title_number", "bad_annotations", "schema_draft4"] {
            assert!(catalog.get(&format!("a.{kept}")).is_some(), "{kept} in {:?}", ids(&catalog));
        }
        assert_eq!(catalog.iter().filter(|tool| tool.name() == "echo").count(), 1);
        let mut bad: Vec<_> = catalog.faults().iter().map(bad_tool).collect();
        bad.sort_unstable();
        let expected = [
            r#""""#,
            r#""array_schema""#,
            r#""echo""#,
            r#""no_schema""#,
            r#""null_schema""#,
            r#""spaces and/slashes\0\u{202e}""#,
            "number 12",
        ];
        assert_eq!(bad, expected);
    });
}

fn bad_tool(fault: &CatalogFault) -> &str {
    let CatalogFault::BadTool { server, tool, reason } = fault else { panic!("{fault}") };
    assert_eq!(server, "a");
    assert!(!reason.is_empty());
    tool
}

/// Check 17: whatever a server calls its tool, providers get a name that they accept.
#[test]
fn every_tool_has_a_name_that_providers_accept() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("wrong-shape")).await;
        let catalog = session.tools();
        for tool in catalog.iter() {
            assert_llm_name(tool.llm_name());
            assert_eq!(catalog.by_llm_name(tool.llm_name()).unwrap().id(), tool.id());
        }
        let long = format!("a.{}", "n".repeat(300));
        let output = session.call(&long, ()).await.unwrap_err();
        assert_eq!(output.kind(), "rejected", "it was called by its own long name");
    });
}

#[test]
fn ten_thousand_tools_are_listed_within_seconds() {
    world::run(async |world| {
        let began = Instant::now();
        let session = world.open_one(world.hostile("many-tools")).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let catalog = session.tools();
        assert_eq!((catalog.len(), catalog.faults()), (10_011, &[][..]));
        assert!(catalog.get("a.tool_09999").is_some());
    });
}

/// C6: tools go by the name that the host gave a server, never by what it says of itself.
#[test]
fn a_prefix_takes_the_place_of_the_servers_name() {
    world::run(async |world| {
        let session = world
            .open([
                ServerSpec::new("github", world.hostile("normal")).prefix("gh"),
                ServerSpec::new("bare", world.hostile("normal")).prefix(""),
            ])
            .await;
        for (id, llm_name, server) in [("gh.add", "gh__add", "github"), ("add", "add", "bare")] {
            let tool = session.tool(id).unwrap();
            assert_eq!((tool.llm_name(), tool.server(), tool.name()), (llm_name, server, "add"));
            let output = tool.call(json!({ "a": 1, "b": 2 })).await.unwrap();
            assert_eq!(output.text(), "3");
        }
        assert!(session.tool("github.add").is_none());
        let error = session.call("github.add", ()).await.unwrap_err();
        assert_eq!(error.kind(), "unknown_tool");
        assert!(error.to_string().contains("gh.add"), "the nearest is named: {error}");
    });
}

#[test]
fn a_tool_that_two_servers_offer_under_one_id_is_neither() {
    world::run(async |world| {
        let session = world
            .open([
                ServerSpec::new("one", world.hostile("normal")).prefix("x"),
                ServerSpec::new("two", world.odd("empty-cursor")).prefix("x"),
                ServerSpec::new("three", world.odd("late-discover"))
                    .prefix("x")
                    .init_timeout(Duration::from_secs(4)),
            ])
            .await;
        let catalog = session.tools();
        let servers = ("one".to_owned(), "three".to_owned());
        let collision = CatalogFault::Collision { tool: "x.echo".to_owned(), servers };
        assert_eq!(catalog.faults(), [collision]);
        assert!(catalog.get("x.echo").is_none() && !ids(&catalog).contains(&"x.echo"));
        let error = session.call("x.echo", ()).await.unwrap_err();
        assert_eq!(error.kind(), "ambiguous_tool");
        assert!(error.to_string().contains("one") && error.to_string().contains("three"));
        for tool in catalog.iter() {
            let found = catalog.get(tool.id()).unwrap();
            assert_eq!((found.server(), found.name()), (tool.server(), tool.name()));
        }
        let output = session.call("x.add", json!({ "a": 1, "b": 2 })).await.unwrap();
        assert_eq!(output.text(), "3", "its neighbours are called as ever");
    });
}

/// Check 17: names do not change when a server is added.
#[test]
fn names_are_the_same_whatever_other_servers_there_are() {
    world::run(async |world| {
        let alone = world.open_one(world.hostile("normal")).await;
        let both = world
            .open([
                ServerSpec::new("b", world.hostile("normal")),
                ServerSpec::new("a", world.hostile("normal")),
            ])
            .await;
        for tool in alone.tools().iter() {
            let same = both.tool(tool.id()).unwrap();
            assert_eq!((same.llm_name(), same.raw()), (tool.llm_name(), tool.raw()));
        }
    });
}

#[test]
fn every_field_of_a_tool_is_kept_to_the_byte() {
    world::run(async |world| {
        let session = world.open_one(world.odd("fields")).await;
        let tool = session.tool("a.fünf").unwrap();
        let source = std::fs::read_to_string(world::root().join("tests/servers/odd.py")).unwrap();
        let written: String = source
            .lines()
            .skip_while(|line| !line.contains("TOOL = "))
            .take_while(|line| !line.is_empty())
            .filter_map(|line| Some(line.split_once('\'')?.1.rsplit_once('\'')?.0))
            .collect();
        assert_eq!(tool.raw(), written.replace("\\\\u", "\\u"));
        assert_eq!(tool.json()["title"], "🎉");
        assert_eq!(tool.json()["_meta"]["com.example/deep"][0][0][0]["a"], json!(null));
        assert_eq!(tool.input_schema()["properties"]["x"]["$ref"], "#/$defs/x");
        assert_eq!(tool.call(()).await.unwrap().text(), "fünf");
        assert_llm_name(tool.llm_name());
    });
}
