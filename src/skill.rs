//! Skills: folders of instructions that a server has (MCP extension `io.modelcontextprotocol/skills`).

use std::sync::Arc;

use rmcp::model::{GetSkillResult, Skill as Described, SkillResource, SkillResources};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    connection::{
        Connection,
        kept::{ask, list},
        requests::Question,
    },
    error::CallError,
    query::{Query, Terms},
    received::{Listed, for_host},
    resource::{Body, read},
    server::Server,
};

/// One skill of one server, as its server describes it. A cheap handle.
///
/// It is told apart by its server and its URI, and never by its name, which any server may give. What
/// stands in it is not to be trusted more than its server: approve a skill by
/// [`digests`](Self::digests), which change with any of its files.
#[derive(Debug, Clone)]
pub struct Skill {
    connection: Arc<Connection>,
    described: Arc<Described>,
}

impl Skill {
    /// The URI of its `SKILL.md`.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.described.uri
    }

    /// The name of its server.
    #[must_use]
    pub fn server(&self) -> &str {
        self.connection.name()
    }

    /// The server's description: name, frontmatter and files.
    #[must_use]
    pub fn described(&self) -> &Described {
        &self.described
    }

    /// The URIs and digests of its files; none where the server does not fix them.
    #[must_use]
    pub fn digests(&self) -> Vec<(&str, &str)> {
        let files = self.files().iter();
        files.map(|file| (file.uri.as_str(), file.digest.as_str())).collect()
    }

    fn files(&self) -> &[SkillResource] {
        if let SkillResources::Files(files) = &self.described.resources { files } else { &[] }
    }

    /// Reads its `SKILL.md`, and checks it against the description: size, digest and frontmatter.
    ///
    /// # Errors
    ///
    /// [`CallError::InvalidResponse`] where it is not what was described, and those of any read.
    pub fn load(&self) -> Query<String> {
        let skill = self.clone();
        Query::new(&self.connection, move |_, terms| async move {
            let bytes = skill.verified(skill.uri(), terms).await?;
            let invalid = |detail: String| skill.invalid(skill.uri(), detail);
            let text = String::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
            let found = frontmatter(&text).map_err(&invalid)?;
            let told = serde_json::to_value(&skill.described.frontmatter);
            let told = told.map_err(|error| invalid(error.to_string()))?;
            if Value::Object(found) != told {
                return Err(invalid("its frontmatter is not the one that was listed".to_owned()));
            }
            Ok(text)
        })
    }

    /// Reads one of its files, and checks it against the description: size and digest.
    ///
    /// # Errors
    ///
    /// [`CallError::InvalidResponse`] where it is not what was described, or not part of the skill,
    /// and those of any read.
    pub fn file(&self, uri: impl Into<String>) -> Query<Vec<u8>> {
        let (skill, uri) = (self.clone(), uri.into());
        Query::new(
            &self.connection,
            move |_, terms| async move { skill.verified(&uri, terms).await },
        )
    }

    async fn verified(&self, uri: &str, terms: Terms) -> Result<Vec<u8>, CallError> {
        let fixed = self.files().iter().find(|file| file.uri == uri);
        let dynamic = !matches!(self.described.resources, SkillResources::Files(_));
        if fixed.is_none() && !(dynamic && self.holds(uri)) {
            return Err(self.invalid(uri, "it is no file of the skill".to_owned()));
        }
        // What was checked once is not what is there now.
        let contents = read(&self.connection, uri, Terms { fresh: true, ..terms }).await?;
        let part = contents.parts().into_iter().find(|part| part.uri == uri);
        let bytes = match part.map(|part| part.body) {
            Some(Body::Text(text)) => text.into_bytes(),
            Some(Body::Blob(bytes)) => bytes,
            None => return Err(self.invalid(uri, "the answer does not hold it".to_owned())),
        };
        if let Some(file) = fixed {
            file.verify(&bytes).map_err(|error| self.invalid(uri, error.to_string()))?;
        }
        Ok(bytes)
    }

    /// Whether a URI lies in its folder.
    fn holds(&self, uri: &str) -> bool {
        let folder = self.uri().rsplit_once('/').map_or("", |(folder, _)| folder);
        let within = uri.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        within && !uri.split('/').any(|step| matches!(step, ".." | "."))
    }

    fn invalid(&self, uri: &str, detail: String) -> CallError {
        let server = self.server().to_owned();
        CallError::InvalidResponse {
            server,
            tool: format!("skill {uri}"),
            detail,
            record: crate::record::Record::default(),
        }
    }
}

impl Server {
    /// The skills that it lists, over all pages; it may have others. Nothing of them is read. Entries
    /// that make no sense are left out.
    pub fn skills(&self) -> Query<Vec<Skill>> {
        Query::new(&self.connection(), |connection, terms| async move {
            let listed: Listed<Described> =
                list(&connection, ("skills/list", "skills"), terms).await?;
            let listed = listed.for_host(&connection);
            let valid = |item: crate::received::Item<Described>| {
                item.typed().ok().filter(|skill| skill.validate().is_ok())
            };
            let skill = |described| Skill {
                connection: Arc::clone(&connection),
                described: Arc::new(described),
            };
            Ok(listed.into_iter().filter_map(valid).map(skill).collect())
        })
    }

    /// The skill whose `SKILL.md` has this URI, whether it is listed or not.
    pub fn skill(&self, uri: impl Into<String>) -> Query<Skill> {
        let uri = uri.into();
        Query::new(&self.connection(), move |connection, terms| async move {
            let question = Question::new("skills/get", Some(&uri)).with("uri", &uri);
            let about = question.about(&connection);
            let raw = ask(&connection, &question, terms).await?;
            let got: GetSkillResult = serde_json::from_str(raw.get())
                .map_err(|error| about.invalid(error.to_string()))?;
            got.skill.validate().map_err(|fault| about.invalid(fault.to_string()))?;
            if got.skill.uri != uri {
                return Err(about.invalid("another skill than was asked for".to_owned()));
            }
            let seen = for_host(&connection, raw);
            let seen: GetSkillResult = serde_json::from_str(seen.get())
                .map_err(|error| about.invalid(error.to_string()))?;
            Ok(Skill { connection: Arc::clone(&connection), described: Arc::new(seen.skill) })
        })
    }
}

/// What stands between the two lines of dashes at the beginning of a `SKILL.md`.
fn frontmatter(text: &str) -> Result<Map<String, Value>, String> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Frontmatter(Map<String, Value>);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let rest = text.strip_prefix("---\n").ok_or("it has no frontmatter")?;
    let end = rest.find("\n---\n").or_else(|| rest.strip_suffix("\n---").map(str::len));
    let yaml = &rest[..end.ok_or("its frontmatter does not end")?];
    let parsed: Frontmatter = serde_norway::from_str(yaml).map_err(|error| error.to_string())?;
    Ok(parsed.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn frontmatter_is_what_stands_between_the_dashes() {
        let text = "---\nname: a\ndescription: 'b: c'\nmetadata:\n  n: 1\n---\n# Title\n---\n";
        let found = Value::Object(frontmatter(text).unwrap());
        assert_eq!(found, json!({ "name": "a", "description": "b: c", "metadata": { "n": 1 } }));
        assert!(frontmatter("# Title").is_err());
        assert!(frontmatter("---\nname: a\n").is_err());
        assert!(frontmatter("---\n- a\n---\n").is_err());
    }
}
