//! The gateway's own requests over HTTP/1.1, to a collector or a receiver of notifications: one connection, which is kept while it works.
//!
//! Follows no redirect, because the headers of a request open one receiver and nothing else. Waits for ever; its callers have timeouts. Must
//! not know what a request is about.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tower::Service as _;

use crate::failure::Failure;
use crate::upstream::connect::connector::{Connector, Dial, Phase};
use crate::upstream::connect::resolve::Resolver;
use crate::upstream::connect::target::Target;

/// How much of an answer is read, in bytes. The rest is not waited for.
pub(super) const MAX_ANSWER: usize = 64 << 10;
/// The value of `User-Agent`.
pub(super) const USER_AGENT: &str = concat!("lockgate/", env!("CARGO_PKG_VERSION"));

/// A receiver of requests.
pub(super) struct HttpClient {
    connector: Connector,
    resolver: Resolver,
    target: Arc<Target>,
    /// What the receiver is, for complaints.
    role: &'static str,
    connection: Option<Connection>,
}

/// An open connection, whose task ends with it.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl HttpClient {
    pub(super) fn new(target: Arc<Target>, resolver: Resolver, role: &'static str) -> Self {
        Self { connector: Connector::new(resolver.clone()), resolver, target, role, connection: None }
    }

    /// Returns the connection of before if it is still open, or a new one. The name is resolved for each.
    async fn connection(&mut self) -> Result<Connection, String> {
        if let Some(mut connection) = self.connection.take()
            && connection.sender.ready().await.is_ok()
        {
            return Ok(connection);
        }
        let target = &self.target;
        if target.literal().is_none() {
            // The addresses of before are used if this fails.
            let _ = self.resolver.renew(&target.host).await;
        }
        let phase = Arc::new(Phase::default());
        let dial = Dial { target: Arc::clone(target), address: target.literal(), phase, http1_only: false, proxy_header: Vec::new() };
        let stream = self.connector.call(dial).await.map_err(|failure| told(&failure, self.role))?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // An error of the connection is that of the request as well.
        let driver = tokio::spawn(async move { drop(driver.await) }).abort_handle();
        Ok(Connection { sender, driver })
    }

    /// Sends a request and returns the answer. A body that is too long is returned empty.
    ///
    /// # Errors
    /// Says why there is no answer.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, String> {
        let mut connection = self.connection().await?;
        let response = connection.sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        let read = Limited::new(body, MAX_ANSWER).collect().await.map(|body| body.to_bytes());
        // An answer that is too long has an end that nobody waits for.
        if read.is_ok() {
            self.connection = Some(connection);
        }
        Ok(Response::from_parts(head, read.unwrap_or_default()))
    }
}

/// Says why there is no connection.
fn told(failure: &Failure, role: &str) -> String {
    let cause = failure.kind.row().cause.replace("backend", role);
    failure.detail.as_ref().map_or_else(|| cause.clone(), |detail| format!("{cause}: {detail}"))
}
