//! A host that answers what servers ask, and notes what it was asked.

#![allow(dead_code, reason = "each test uses its own part of it")]
#![allow(missing_docs, reason = "a test's harness")]

use std::sync::{Arc, Mutex};

use callboard::{
    FormAnswer, FormQuestion, Host, HostCapabilities, HostFuture, Root, SamplingAnswer,
    SamplingQuestion, UrlAnswer, UrlQuestion,
};
use serde_json::{Map, Value};
use tokio::sync::Notify;

/// What a person answers to everything, and was asked.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    pub(crate) roots: Arc<Mutex<Vec<String>>>,
    pub(crate) capabilities: HostCapabilities,
    pub(crate) form: Arc<Mutex<FormAnswer>>,
    pub(crate) samples: bool,
    /// What the person waits for before a form is answered.
    pub(crate) thinks: Option<Arc<Notify>>,
}

impl Person {
    /// Who implements everything.
    pub(crate) fn new() -> Self {
        let capabilities = HostCapabilities::default();
        Self {
            asked: Arc::default(),
            roots: Arc::default(),
            capabilities: capabilities
                .sampling_with_tools()
                .elicitation_forms()
                .elicitation_urls()
                .roots(),
            form: Arc::new(Mutex::new(FormAnswer::Accept(Map::new()))),
            samples: true,
            thinks: None,
        }
    }

    pub(crate) fn fills(&self, content: Value) {
        let Value::Object(content) = content else { panic!("a form is an object") };
        *self.form.lock().unwrap() = FormAnswer::Accept(content);
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

impl Host for Person {
    fn capabilities(&self) -> HostCapabilities {
        self.capabilities.clone()
    }

    fn sample(&self, question: SamplingQuestion) -> HostFuture<'_, Option<SamplingAnswer>> {
        let text = question.json()["messages"][0]["content"]["text"].to_string();
        let asked = question.json();
        let tools = asked["tools"][0]["name"].as_str();
        let with = tools.map(|tool| format!(" with {tool}")).unwrap_or_default();
        self.note(format!("sample {} {text}{with}", question.server()));
        let answer = self.samples.then(|| SamplingAnswer::text("model-x", "a sampled answer"));
        Box::pin(std::future::ready(answer))
    }

    fn fill(&self, question: FormQuestion) -> HostFuture<'_, FormAnswer> {
        self.note(format!("fill {} {}", question.server(), question.message()));
        Box::pin(async move {
            if let Some(thinks) = &self.thinks {
                thinks.notified().await;
            }
            self.form.lock().unwrap().clone()
        })
    }

    fn visit(&self, question: UrlQuestion) -> HostFuture<'_, UrlAnswer> {
        self.note(format!("visit {} {}", question.server(), question.url()));
        Box::pin(std::future::ready(UrlAnswer::Accept))
    }

    fn roots(&self, server: &str) -> Vec<Root> {
        self.note(format!("roots {server}"));
        self.roots.lock().unwrap().iter().map(Root::new).collect()
    }
}
