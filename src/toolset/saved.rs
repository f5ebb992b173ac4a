//! What is kept of a set of tools.

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::ToolSet;
use crate::canonical::canonical;

/// What is kept of a [`ToolSet`]: which server offers which tool, each as its server described it,
/// and a hash over all of it.
///
/// Reading it checks the hash. A session that is opened with it (see
/// [`SessionBuilder::saved_tools`](crate::SessionBuilder::saved_tools)) has these tools in its
/// catalog before any server is started.
#[derive(Debug, Clone, Serialize)]
pub struct SavedTools {
    hash: String,
    tools: Vec<SavedTool>,
}

/// One tool, and the server that offers it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SavedTool {
    pub(crate) server: String,
    pub(crate) id: String,
    /// As the server described it.
    pub(crate) tool: Box<RawValue>,
}

impl SavedTools {
    pub(super) fn of(set: &ToolSet) -> Self {
        let saved = set.iter().map(|tool| SavedTool {
            server: tool.server().to_owned(),
            id: tool.id().to_owned(),
            tool: tool.raw_value().to_owned(),
        });
        let tools: Vec<_> = saved.collect();
        Self { hash: hash(&tools), tools }
    }

    /// The hash over its tools; see [`ToolSet::hash`].
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The number of tools.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tools.len()
    }

    /// Whether there is no tool.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// The ids of its tools.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().map(|tool| tool.id.as_str())
    }

    /// The tools of one server.
    pub(crate) fn of_server(&self, server: &str) -> impl Iterator<Item = &RawValue> {
        self.tools.iter().filter(move |one| one.server == server).map(|one| &*one.tool)
    }
}

impl<'de> Deserialize<'de> for SavedTools {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Unchecked {
            hash: String,
            tools: Vec<SavedTool>,
        }
        let Unchecked { hash: claimed, tools } = Unchecked::deserialize(deserializer)?;
        if hash(&tools) != claimed {
            return Err(de::Error::custom("the saved tools do not match their hash"));
        }
        Ok(Self { hash: claimed, tools })
    }
}

fn hash(tools: &[SavedTool]) -> String {
    let mut sorted: Vec<_> = tools.iter().collect();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    let mut hasher = Sha256::new();
    for SavedTool { server, id, tool } in sorted {
        for part in [server, id, &canonical(tool)] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
