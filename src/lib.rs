#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "what only HTTP needs stays small, and a cfg at each would not")
)]

// What a host declares.
#[cfg(feature = "http")]
mod auth;
#[cfg(feature = "config")]
pub mod config;
mod policy;
mod secret;
mod spec;

// What a host holds.
mod changes;
mod host;
mod host_death;
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

// What a host puts around its calls.
pub mod layer;

// What a host reads.
mod alert;
mod approval;
mod arguments;
mod canonical;
mod catalog;
mod caught;
mod census;
mod error;
mod event;
mod output;
mod pattern;
mod received;
mod record;
mod redactor;
mod report;
mod snapshot;
mod status;
mod toolset;
mod trace;

#[cfg(feature = "testing")]
pub mod testing;

// What runs.
mod budget;
mod connection;
mod meter;
mod queue;
mod roster;
#[cfg(feature = "validate")]
mod schema;
mod scope;
mod session_actor;
mod supervisor;
pub mod telemetry;
mod transport;
mod usage;
mod wire;

pub use alert::{Alarm, Alert};
pub use approval::{ApprovalRequest, Decision};
pub use arguments::Arguments;
#[cfg(feature = "http")]
pub use auth::Auth;
#[cfg(feature = "keyring")]
pub use auth::KeyringTokenStore;
#[cfg(feature = "oauth")]
pub use auth::{
    ClientCredentials, EnterpriseManaged, FileTokenStore, JwtBearer, Login, MemoryTokenStore,
    OAuth, StoreFuture, StoreLock, TokenKey, TokenStore,
};
pub use catalog::{Annotations, Catalog, CatalogFault, Tool};
pub use census::{LeakReport, ProcessRecord};
pub use changes::{Change, Changes, Filtered, Topics, Windows};
pub use connection::call::{Call, Detach, Detached, Task};
pub use error::{
    ApplyError, AuthError, BudgetItem, CallError, CallLimit, ConnectError, Delivery, DownCause,
    DownReason, HttpError, LimitOf, LoginReason, OpenError, OverBudget, RequiredFailure,
    SecretCause, SecretError, ServerError, SpecError, Stage, TypedError,
};
pub use event::{Event, Events, Notification, Notifications};
pub use host::{
    FormAnswer, FormFault, FormQuestion, Host, HostCapabilities, HostFuture, LogLevel, Root,
    SamplingAnswer, SamplingQuestion, UrlAnswer, UrlQuestion,
};
pub use host_death::HostDeath;
pub use log::{LogMessage, Logs};
pub use output::{Content, Output};
#[cfg(feature = "validate")]
pub use policy::SchemaCheck;
pub use policy::{
    Backoff, Budget, CachePolicy, CallOptions, CircuitBreaker, HealthCheck, Limits, RateLimit,
    RestartPolicy, RetryPolicy, WhenDown,
};
pub use progress::{Progress, ProgressReport};
pub use prompt::Completion;
pub use query::Query;
pub use received::{Item, ListFault, Listed, Received};
pub use record::{Cassette, CassetteError, Entry, EntryKind, Record};
pub use redactor::{Redacting, Redactor};
pub use report::{Exit, ProbableCause, Report, Sheet};
pub use resource::{Body, Contents, Part, Resource, Template, TemplateFault};
pub use rmcp::model;
pub use runtime::{Runtime, RuntimeBuilder};
pub use secrecy::{self, SecretString};
pub use secret::{ProvidedSecret, Secret, SecretProvider};
pub use server::Server;
pub use session::{Applied, Session, SessionBuilder};
#[cfg(feature = "skills")]
pub use skill::Skill;
pub use snapshot::{
    Latency, ServerSnapshot, SessionSnapshot, Snapshot, ToolSnapshot, Traffic, UsageSnapshot,
};
#[cfg(feature = "http")]
pub use spec::{HttpEra, HttpSse, Remote, Sse, Streamable, StreamableHttp};
pub use spec::{ServerSpec, Stdio, Transport};
pub use status::{BreakerState, Phase, Status, TransportKind};
pub use toolset::{SavedTools, ToolSet};
pub use trace::TraceContext;
pub use transport::memory::{Memory, MemoryListener, MemoryStream};
pub use usage::CallTotals;
