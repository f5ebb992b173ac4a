#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "what only HTTP needs stays small, and a cfg at each would not")
)]

// What a host declares.
mod policy;
mod spec;

// What a host holds.
mod runtime;
mod server;
mod session;

// What a host reads.
mod arguments;
mod catalog;
mod census;
mod error;
mod event;
mod output;
mod status;

// What runs.
mod connection;
mod scope;
mod session_actor;
mod supervisor;
mod telemetry;
mod transport;
mod wire;

pub use arguments::Arguments;
pub use catalog::{Catalog, CatalogFault, Tool};
pub use census::{LeakReport, ProcessRecord};
pub use connection::call::Call;
pub use error::{
    CallError, CallLimit, ConnectError, Delivery, DownCause, DownReason, HttpError, OpenError,
    RequiredFailure, ServerError, SpecError, Stage,
};
pub use event::{Event, Events, Notification, Notifications};
pub use output::{Content, Output};
pub use policy::{Backoff, CallOptions, Limits, RestartPolicy};
pub use rmcp::model;
pub use runtime::{Runtime, RuntimeBuilder};
pub use server::Server;
pub use session::{Session, SessionBuilder};
#[cfg(feature = "http")]
pub use spec::{HttpEra, HttpSse, Remote, Sse, Streamable, StreamableHttp};
pub use spec::{ServerSpec, Stdio, Transport};
pub use status::{Phase, Status, TransportKind};
