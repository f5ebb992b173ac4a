//! Check 16: a list that goes on for ever ends with a named fault, and with the pages so far.
//! C21: a cursor means nothing to us, the empty one is a cursor, and only a missing one is the end.

#[path = "support/world.rs"]
mod world;

use callboard::{CatalogFault, Limits, ServerSpec, Session, Stdio};
use serde_json::json;

async fn open(world: &world::World, stdio: Stdio, limits: Limits) -> Session {
    let session = world.open([ServerSpec::new("a", stdio).limits(limits)]).await;
    let status = session.server("a").unwrap().status();
    assert!(status.is_ready(), "{status:?}");
    session
}

fn names(session: &Session) -> Vec<String> {
    session.tools().iter().map(|tool| tool.name().to_owned()).collect()
}

fn fault(session: &Session) -> CatalogFault {
    let catalog = session.tools();
    let [fault] = catalog.faults() else { panic!("{:?}", catalog.faults()) };
    fault.clone()
}

#[test]
fn a_cursor_that_comes_again_ends_the_list() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let stdio = world.hostile("cursor-loop").arg("--log").arg(&log);
        let session = open(&world, stdio, Limits::default()).await;
        let repeated = session.tools().faults().iter().any(|fault| {
            matches!(fault, CatalogFault::CursorRepeated { cursor, pages: 2, .. } if cursor == "again")
        });
        assert!(repeated, "{:?}", session.tools().faults());
        assert_eq!(session.tools().len(), 11, "each tool once");
        let output = session.call("a.echo", json!({ "text": "x" })).await.unwrap();
        assert_eq!(output.text(), "x");
        let lists = world::log(&log).iter().filter(|one| one["method"] == "tools/list").count();
        assert_eq!(lists, 2);
    });
}

#[test]
fn an_endless_list_stops_at_the_limit_of_pages() {
    world::run(async |world| {
        let limits = Limits::default().with_max_pages(7);
        let session = open(&world, world.hostile("cursor-endless"), limits).await;
        assert!(matches!(fault(&session), CatalogFault::TooManyPages { limit: 7, .. }));
        assert!(fault(&session).to_string().contains("max_pages"));
        assert_eq!(session.tools().len(), 700);
    });
}

#[test]
fn an_endless_list_stops_at_the_limit_of_tools() {
    world::run(async |world| {
        let limits = Limits::default().with_max_tools(250);
        let session = open(&world, world.hostile("cursor-endless"), limits).await;
        assert!(matches!(fault(&session), CatalogFault::TooManyTools { limit: 250, .. }));
        assert!(fault(&session).to_string().contains("max_tools"));
        assert_eq!(session.tools().len(), 250);
    });
}

#[test]
fn an_endless_list_stops_at_the_default_limits_too() {
    world::run(async |world| {
        let session = open(&world, world.hostile("cursor-endless"), Limits::default()).await;
        let fault = fault(&session);
        assert!(
            matches!(fault, CatalogFault::TooManyPages { .. } | CatalogFault::TooManyTools { .. }),
            "{fault}"
        );
        assert!(session.tools().len() <= Limits::default().max_tools);
    });
}

#[test]
fn the_empty_cursor_leads_to_a_page_like_any_other() {
    world::run(async |world| {
        let session = open(&world, world.odd("empty-cursor"), Limits::default()).await;
        assert_eq!(names(&session), ["first", "second"]);
        assert!(session.tools().faults().is_empty());
    });
}

#[test]
fn an_empty_cursor_that_comes_again_ends_the_list() {
    world::run(async |world| {
        let session = open(&world, world.odd("empty-loop"), Limits::default()).await;
        assert_eq!(names(&session), ["page_1", "page_2"]);
        let fault = fault(&session);
        assert!(matches!(fault, CatalogFault::CursorRepeated { pages: 2, .. }), "{fault}");
    });
}

#[test]
fn a_page_that_is_refused_leaves_the_pages_before_it() {
    world::run(async |world| {
        let session = open(&world, world.odd("bad-second-page"), Limits::default()).await;
        assert_eq!(names(&session), ["first"]);
        let fault = fault(&session);
        assert!(matches!(fault, CatalogFault::ListingFailed { pages: 1, .. }), "{fault}");
        assert!(fault.to_string().contains("Invalid cursor"), "{fault}");
    });
}
