#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "what only HTTP needs stays small, and a cfg at each would not")
)]

// What a host declares.
mod policy;
mod spec;

// What a host holds.
mod changes;
mod host;
mod log;
mod progress;
mod prompt;
mod query;
mod resource;
mod runtime;
mod server;
mod session;
#[cfg(feature = "skills")]
mod skill;

// What a host reads.
mod arguments;
mod catalog;
mod census;
mod error;
mod event;
mod output;
mod received;
mod status;
mod trace;

#[cfg(feature = "testing")]
pub mod testing;

// What runs.
mod connection;
mod queue;
mod scope;
mod session_actor;
mod supervisor;
mod telemetry;
mod transport;
mod wire;

pub use arguments::Arguments;
pub use catalog::{Catalog, CatalogFault, Tool};
pub use census::{LeakReport, ProcessRecord};
pub use changes::{Change, Changes, Filtered, Topics, Windows};
pub use connection::call::{Call, Detach, Detached, Task};
pub use error::{
    CallError, CallLimit, ConnectError, Delivery, DownCause, DownReason, HttpError, OpenError,
    RequiredFailure, ServerError, SpecError, Stage,
};
pub use event::{Event, Events, Notification, Notifications};
pub use host::{
    FormAnswer, FormFault, FormQuestion, Host, HostCapabilities, HostFuture, LogLevel, Root,
    SamplingAnswer, SamplingQuestion, UrlAnswer, UrlQuestion,
};
pub use log::{LogMessage, Logs};
pub use output::{Content, Output};
pub use policy::{Backoff, CallOptions, Limits, RestartPolicy};
pub use progress::{Progress, ProgressReport};
pub use prompt::Completion;
pub use query::Query;
pub use received::{Item, ListFault, Listed, Received};
pub use resource::{Body, Contents, Part, Resource, Template, TemplateFault};
pub use rmcp::model;
pub use runtime::{Runtime, RuntimeBuilder};
pub use server::Server;
pub use session::{Session, SessionBuilder};
#[cfg(feature = "http")]
pub use spec::{HttpEra, HttpSse, Remote, Sse, Streamable, StreamableHttp};
#[cfg(feature = "skills")]
pub use skill::Skill;
pub use transport::memory::{Memory, MemoryListener, MemoryStream};
pub use spec::{ServerSpec, Stdio, Transport};
pub use trace::TraceContext;
pub use status::{Phase, Status, TransportKind};
