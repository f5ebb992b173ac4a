//! Services of any type, made one inside the other into one.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

use super::Request;
use crate::{connection::call::attempts, error::CallError, output::Output};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A call on its way.
pub type CallFuture = Pin<Box<dyn Future<Output = Result<Output, CallError>> + Send>>;

/// What a layer has to make of a [`CallService`]: a service of the same kind, with any error.
///
/// Whatever implements the right [`Service`] is one.
pub trait CallLike: Send + Sync + 'static {
    /// Makes a call, once the service is ready for it.
    fn run(&self, request: Request) -> CallFuture;
}

impl<S> CallLike for S
where
    S: Service<Request, Response = Output> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    fn run(&self, request: Request) -> CallFuture {
        let mut service = self.clone();
        Box::pin(async move {
            let (tool, ticket) = (request.tool.clone(), request.ticket.clone());
            let ready = poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into);
            let outcome = match ready {
                Ok(()) => service.call(request).await.map_err(Into::into),
                Err(error) => Err(error),
            };
            outcome.map_err(|error: BoxError| match error.downcast::<CallError>() {
                Ok(error) => *error,
                Err(source) => CallError::Middleware {
                    tool: tool.id().to_owned(),
                    source: source.into(),
                    delivery: ticket.delivery(),
                },
            })
        })
    }
}

/// What is inside a layer: the layers further in, and at last the call itself. Always ready.
#[derive(Clone)]
pub struct CallService(Inside);

#[derive(Clone)]
enum Inside {
    /// The call, with the policies of its server.
    Call,
    /// The layers of the server that is called, and then the call.
    Server,
    Layer(Arc<dyn CallLike>),
}

impl CallService {
    pub(crate) fn innermost() -> Self {
        Self(Inside::Call)
    }

    pub(crate) fn of_servers() -> Self {
        Self(Inside::Server)
    }

    pub(crate) fn run(&self, request: Request) -> CallFuture {
        match &self.0 {
            Inside::Call => Box::pin(attempts::run(request)),
            Inside::Server => {
                let connection = Arc::clone(request.tool.connection());
                connection.layers().unwrap_or(&Self(Inside::Call)).run(request)
            }
            Inside::Layer(service) => service.run(request),
        }
    }
}

impl fmt::Debug for CallService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallService")
    }
}

impl Service<Request> for CallService {
    type Response = Output;
    type Error = CallError;
    type Future = CallFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> CallFuture {
        self.run(request)
    }
}

/// A layer, whatever its type.
#[derive(Clone)]
pub(crate) struct CallLayer(Arc<dyn Fn(CallService) -> CallService + Send + Sync>);

impl CallLayer {
    pub(crate) fn new<L>(layer: L) -> Self
    where
        L: Layer<CallService> + Send + Sync + 'static,
        L::Service: CallLike,
    {
        Self(Arc::new(move |inner| CallService(Inside::Layer(Arc::new(layer.layer(inner))))))
    }
}

impl PartialEq for CallLayer {
    /// Whether it is the same one: what it does cannot be compared.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for CallLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallLayer")
    }
}

/// These layers, the first outermost, around a service; none if there are none.
pub(crate) fn around(layers: &[CallLayer], inner: CallService) -> Option<CallService> {
    let around = |inner, layer: &CallLayer| (layer.0)(inner);
    (!layers.is_empty()).then(|| layers.iter().rev().fold(inner, around))
}
