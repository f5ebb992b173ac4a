//! Tools to choose from, and what is kept of them.

mod saved;

pub use saved::SavedTools;

use std::{collections::HashSet, sync::Arc};

use serde::{Serialize, Serializer};

use crate::{
    catalog::{Annotations, Tool},
    pattern::{fits, fits_any},
};

/// Some of the tools of a session, in the order of its catalog: what is handed to an agent.
///
/// Immutable: each filter makes another set, and a set does not change with the catalog it was made
/// of. Its tools are handles, and as such follow their servers through restarts.
///
/// ```
/// # fn choose(session: &callboard::Session) {
/// let tools = session.toolset().deny("files", &["write_*"]).select(&["files.*", "git.git_log"]);
/// for tool in &tools {
///     println!("{}: {}", tool.name(), tool.description().unwrap_or_default());
/// }
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct ToolSet {
    tools: Arc<[Tool]>,
}

impl ToolSet {
    /// The tool of this id, such as `git.status`; or, as models write it, of this
    /// [`llm_name`](Tool::llm_name).
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Tool> {
        let by_name = || self.tools.iter().find(|tool| tool.llm_name() == id);
        self.tools.iter().find(|tool| tool.id() == id).or_else(by_name)
    }

    /// Its tools.
    pub fn iter(&self) -> std::slice::Iter<'_, Tool> {
        self.tools.iter()
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

    /// Those whose id fits one of these patterns, in which `*` stands for any text: `git.*`,
    /// `files.read_file`.
    #[must_use]
    pub fn select<P: AsRef<str>>(&self, patterns: &[P]) -> Self {
        self.filter(|tool| fits_any(patterns, tool.id()))
    }

    /// Without those tools of this server whose name, as the server knows it, fits none of these
    /// patterns. Other servers' tools stay.
    #[must_use]
    pub fn allow<P: AsRef<str>>(&self, server: &str, patterns: &[P]) -> Self {
        self.filter(|tool| tool.server() != server || fits_any(patterns, tool.name()))
    }

    /// Without those tools of this server whose name, as the server knows it, fits one of these
    /// patterns. Other servers' tools stay.
    #[must_use]
    pub fn deny<P: AsRef<str>>(&self, server: &str, patterns: &[P]) -> Self {
        self.filter(|tool| tool.server() != server || !fits_any(patterns, tool.name()))
    }

    /// Those whose [annotations](Tool::annotations) are as wanted.
    #[must_use]
    pub fn annotated(&self, wanted: impl Fn(Annotations) -> bool) -> Self {
        self.filter(|tool| wanted(tool.annotations()))
    }

    /// Those that say of themselves that they change nothing.
    #[must_use]
    pub fn read_only(&self) -> Self {
        self.annotated(|annotations| annotations.read_only == Some(true))
    }

    /// Those with a [tag](Tool::tags) that fits this pattern, in which `*` stands for any text.
    #[must_use]
    pub fn tagged(&self, pattern: &str) -> Self {
        self.filter(|tool| tool.tags().iter().any(|tag| fits(pattern, tag)))
    }

    /// Those that are wanted.
    #[must_use]
    pub fn filter(&self, wanted: impl Fn(&Tool) -> bool) -> Self {
        self.iter().filter(|tool| wanted(tool)).cloned().collect()
    }

    /// What can be written down of it and read again in another process.
    #[must_use]
    pub fn saved(&self) -> SavedTools {
        SavedTools::of(self)
    }

    /// A hash of the names and descriptions of its tools, schemas included, as 64 hexadecimal
    /// digits: the same in every version of this crate, whatever the order of the tools, and
    /// another if a server changes what it offers.
    #[must_use]
    pub fn hash(&self) -> String {
        self.saved().hash().to_owned()
    }
}

/// As [`SavedTools`].
impl Serialize for ToolSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.saved().serialize(serializer)
    }
}

/// Keeps the first of tools with the same id.
impl FromIterator<Tool> for ToolSet {
    fn from_iter<I: IntoIterator<Item = Tool>>(tools: I) -> Self {
        let mut seen = HashSet::new();
        Self { tools: tools.into_iter().filter(|tool| seen.insert(tool.id().to_owned())).collect() }
    }
}

impl<'a> IntoIterator for &'a ToolSet {
    type Item = &'a Tool;
    type IntoIter = std::slice::Iter<'a, Tool>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
