//! Which tools the quickstart calls.

use callboard::{Catalog, Tool};
use serde_json::{Value, json};

/// One call to be made.
#[derive(Clone)]
pub(crate) struct Planned {
    pub(crate) tool: String,
    pub(crate) arguments: Value,
}

/// What to call, as far as that can be known.
pub(crate) struct Plan {
    /// Calls that are answered.
    pub(crate) calls: Vec<Planned>,
    /// A call that is still going on when its server is killed.
    pub(crate) lasting: Option<Planned>,
    /// Whether the server has to be frozen for that call to last.
    pub(crate) freeze: bool,
}

fn planned(tool: impl Into<String>, arguments: Value) -> Planned {
    Planned { tool: tool.into(), arguments }
}

impl Plan {
    /// For the demo server, whose tools are known.
    pub(crate) fn demo() -> Self {
        let calls = vec![
            planned("alpha.add", json!({ "a": 2, "b": 3 })),
            planned("beta.say", json!({ "text": "hello" })),
            planned("gamma.fail", json!({})),
        ];
        let lasting = Some(planned("beta.wait", json!({ "ms": 60_000 })));
        Self { calls, lasting, freeze: false }
    }

    /// For three processes of some other server: one of its tools, called without arguments, if
    /// that does no harm by all that the server says.
    pub(crate) fn of(catalog: &Catalog, victim: &str) -> Self {
        let harmless = catalog.iter().filter(|tool| harmlessness(tool) > 0);
        let first_best = harmless.rev().max_by_key(|tool| harmlessness(tool)).map(Tool::name);
        let alike = catalog.iter().filter(|tool| Some(tool.name()) == first_best);
        let calls: Vec<_> = alike.map(|tool| planned(tool.id(), json!({}))).collect();
        // A frozen server never reads the call, so that any tool will do.
        let lasting = catalog.iter().find(|tool| tool.server() == victim);
        let lasting = lasting.map(|tool| planned(tool.id(), json!({})));
        Self { calls, lasting, freeze: true }
    }
}

/// How surely a call without arguments does no harm; 0 is not surely enough.
fn harmlessness(tool: &Tool) -> u8 {
    let json = tool.json();
    let hint = |name: &str| json["annotations"][name].as_bool();
    let needs_nothing = json["inputSchema"]["required"].as_array().is_none_or(Vec::is_empty);
    match (hint("readOnlyHint"), needs_nothing) {
        (Some(true), true) => 3,
        (Some(true), false) => 2,
        (None | Some(false), true) if hint("destructiveHint") == Some(false) => 1,
        (None | Some(false), _) => 0,
    }
}
