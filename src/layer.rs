//! Layers of [tower](https://docs.rs/tower) around calls: the host's own middleware, and the
//! ecosystem's.
//!
//! A layer is put around all calls of a session ([`SessionBuilder::layer`]) or of a server
//! ([`ServerSpec::layer`]). The first is outermost, and the session's are outside of the server's. A
//! layer sees a [`Request`] and the [`Output`] or [`CallError`] that comes back; it may change either,
//! call more than once, or answer by itself. Inside of all layers are the approval hook, the cache,
//! retries, breaker and limits: a layer is called once for a call, however often that is tried.
//!
//! An error of another type than [`CallError`], such as that of tower's timeout, ends the call as
//! [`CallError::Middleware`]. A call whose session and server have no layers costs nothing for this.
//!
//! This layer says how long each call took:
//!
//! ```
//! use std::{future::Future, pin::Pin, task::{Context, Poll}};
//!
//! use callboard::{CallError, Output, layer::{CallService, Request}};
//! use tower_layer::{Layer, layer_fn};
//! use tower_service::Service;
//!
//! #[derive(Clone)]
//! struct Timed(CallService);
//!
//! impl Service<Request> for Timed {
//!     type Response = Output;
//!     type Error = CallError;
//!     type Future = Pin<Box<dyn Future<Output = Result<Output, CallError>> + Send>>;
//!
//!     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
//!         self.0.poll_ready(cx)
//!     }
//!
//!     fn call(&mut self, request: Request) -> Self::Future {
//!         let (tool, began) = (request.tool().id().to_owned(), std::time::Instant::now());
//!         let outcome = self.0.call(request);
//!         Box::pin(async move {
//!             let outcome = outcome.await;
//!             println!("{tool} took {:?}", began.elapsed());
//!             outcome
//!         })
//!     }
//! }
//!
//! # fn declare(spec: callboard::ServerSpec) -> callboard::ServerSpec {
//! spec.layer(layer_fn(Timed))
//! # }
//! ```
//!
//! `examples/layers.rs` has two more: a log, and a cache that answers by itself.
//!
//! [`SessionBuilder::layer`]: crate::SessionBuilder::layer
//! [`ServerSpec::layer`]: crate::ServerSpec::layer

mod extensions;
mod request;
mod service;

pub use extensions::Extensions;
pub use request::Request;
pub(crate) use request::Ticket;
pub use service::{CallFuture, CallLike, CallService};
pub(crate) use service::{CallLayer, around};

#[cfg(doc)]
use crate::{CallError, Output};
