//! Templates of URIs (RFC 6570).

use iri_string::template::{
    UriTemplateString,
    simple_context::{SimpleContext, Value},
};

/// A template of URIs, such as `users://{id}/notes{?tag*}` (RFC 6570, level 4).
#[derive(Debug, Clone)]
#[must_use = "a template is filled in by `expand`"]
pub struct Template {
    text: UriTemplateString,
    values: Vec<(String, Value)>,
}

/// Why a template cannot be filled in.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{template:?} is no template of URIs (RFC 6570): {fault}")]
#[non_exhaustive]
pub struct TemplateFault {
    /// The template.
    pub template: String,
    /// What is wrong with it.
    pub fault: String,
}

impl Template {
    /// The template that is written so.
    ///
    /// # Errors
    ///
    /// Where that is no template.
    pub fn new(template: &str) -> Result<Self, TemplateFault> {
        let text = UriTemplateString::try_from(template).map_err(|error| TemplateFault {
            template: template.to_owned(),
            fault: error.to_string(),
        })?;
        Ok(Self { text, values: Vec::new() })
    }

    /// Gives a variable this value.
    pub fn set(mut self, variable: impl Into<String>, value: impl Into<String>) -> Self {
        self.values.push((variable.into(), Value::String(value.into())));
        self
    }

    /// Gives a variable a list of values.
    pub fn set_list(
        mut self,
        variable: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.values.push((variable.into(), Value::List(values)));
        self
    }

    /// The URI that comes of it; a variable without a value is left out.
    ///
    /// # Errors
    ///
    /// Where a value does not fit where it stands, such as a list where only its beginning is wanted.
    pub fn expand(&self) -> Result<String, TemplateFault> {
        let mut context = SimpleContext::new();
        for (variable, value) in &self.values {
            context.insert(variable.clone(), value.clone());
        }
        let expanded = self.text.expand::<iri_string::spec::UriSpec, _>(&context);
        expanded.map(|uri| uri.to_string()).map_err(|error| TemplateFault {
            template: self.text.to_string(),
            fault: error.to_string(),
        })
    }

    /// Whether a URI may have come of it. Values are not looked at one by one, so it may say so of a
    /// few too many.
    pub(crate) fn fits(&self, uri: &str) -> bool {
        let pieces = pieces(self.text.as_str());
        // Where in the URI one may be after the pieces so far.
        let mut here = vec![false; uri.len() + 1];
        here[0] = true;
        for piece in &pieces {
            here = piece.step(uri.as_bytes(), &here);
        }
        here[uri.len()]
    }
}

/// A part of a template.
enum Piece<'a> {
    Literal(&'a str),
    /// Anything, but none of these.
    Value(&'static [u8]),
}

fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        pieces.push(Piece::Literal(literal));
        let (expression, after) = after.split_once('}').unwrap_or((after, ""));
        pieces.push(Piece::Value(match expression.as_bytes().first() {
            Some(b'+' | b'#') => b"",
            Some(b'/' | b'?' | b'&' | b';' | b'.') => b"#",
            _ => b"/?#",
        }));
        rest = after;
    }
    pieces.push(Piece::Literal(rest));
    pieces
}

impl Piece<'_> {
    fn step(&self, uri: &[u8], from: &[bool]) -> Vec<bool> {
        let mut to = vec![false; from.len()];
        for at in (0..from.len()).filter(|at| from[*at]) {
            match self {
                Self::Literal(text) if uri[at..].starts_with(text.as_bytes()) => {
                    to[at + text.len()] = true;
                }
                Self::Literal(_) => {}
                Self::Value(without) => {
                    let length = uri[at..].iter().take_while(|byte| !without.contains(byte));
                    let end = at + length.count();
                    to[at..=end].iter_mut().for_each(|place| *place = true);
                }
            }
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::new(text).unwrap()
    }

    /// Examples of RFC 6570, 1.2 and 3.2.
    #[test]
    fn templates_are_filled_in_as_the_standard_says() {
        let filled = |text: &str| {
            let filled = template(text)
                .set("var", "value")
                .set("hello", "Hello World!")
                .set("path", "/foo/bar")
                .set("x", "1024")
                .set("y", "768")
                .set_list("list", ["red", "green", "blue"]);
            filled.expand().unwrap()
        };
        for (text, uri) in [
            ("{var}", "value"),
            ("{hello}", "Hello%20World%21"),
            ("{+path}/here", "/foo/bar/here"),
            ("X{#var}", "X#value"),
            ("map?{x,y}", "map?1024,768"),
            ("{/var,x}/here", "/value/1024/here"),
            ("{?x,y,undef}", "?x=1024&y=768"),
            ("{var:3}", "val"),
            ("{/list*}", "/red/green/blue"),
            ("{?list*}", "?list=red&list=green&list=blue"),
            ("{&list}", "&list=red,green,blue"),
        ] {
            assert_eq!(filled(text), uri, "{text}");
        }
        assert!(Template::new("{unclosed").is_err());
    }

    #[test]
    fn what_may_have_come_of_a_template_fits_it() {
        let note = template("note://{user}/all{?tag}");
        assert!(note.fits("note://ada/all") && note.fits("note://ada/all?tag=x"));
        assert!(!note.fits("note://ada/b/all") && !note.fits("file://ada/all"));
        assert!(template("file:///{+path}").fits("file:///a/b/c"));
        assert!(!template("test://fixed").fits("test://fixed/more"));
    }
}
