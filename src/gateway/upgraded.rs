//! A request that became a tunnel: its two streams, its permits and its record, until it ends.
//!
//! Knows nothing of the server's connection but that it is a stream of bytes.

use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::admission::Permits;
use super::request::RequestState;
use super::state::Core;
use crate::body::{UploadProgress, UploadStage};
use crate::observe::access_record::{End, TunnelEnd};
use crate::observe::open_tunnel::OpenTunnel;
use crate::socket::Receive;
use crate::tunnel::{Cause, Tunnel};
use crate::upstream::attempt::response::UpstreamTunnel;

/// A request whose connection leaves HTTP once the 101 is written.
#[derive(Debug)]
pub struct Upgraded {
    state: Box<RequestState>,
    /// Held for as long as the tunnel lives, like those of the connection in `upstream`.
    _permits: Permits,
    upstream: Box<UpstreamTunnel>,
    tunnel: Tunnel,
    _open: Option<OpenTunnel>,
}

impl Upgraded {
    /// Creates the tunnel of a request whose 101 is about to be sent.
    pub(super) fn new(mut state: Box<RequestState>, permits: Permits, mut upstream: Box<UpstreamTunnel>, is_websocket: bool) -> Self {
        let idle = state.route.as_ref().and_then(|route| route.policy.timeouts.tunnel);
        let pushed = std::mem::take(&mut upstream.pushed);
        state.record.facts.upload = Some(UploadProgress::new(state.record.context.arrival));
        let open = state.route.as_ref().map(|route| route.metrics.tunnel());
        Self { state, _permits: permits, upstream, tunnel: Tunnel::new(&pushed, idle, is_websocket), _open: open }
    }

    /// Copies both ways until the tunnel ends. `early` are bytes that the client sent behind its request.
    pub async fn run<S: Receive + AsyncWrite + Unpin>(&mut self, core: &Core, client: &mut S, early: Vec<u8>) {
        self.tunnel.hold_early(&early);
        drop(early);
        let mut over = std::pin::pin!(core.over.notified());
        let mut registered = false;
        // The first poll registers the task; from then on the signal cannot come before the listeners close.
        let is_over = |cx: &mut std::task::Context<'_>| {
            let asks = !std::mem::replace(&mut registered, true) || core.lifecycle.is_closing();
            asks && over.as_mut().poll(cx).is_ready()
        };
        self.tunnel.run(client, &mut self.upstream.connection.stream, is_over).await;
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        let facts = &mut self.state.record.facts;
        // The task may have been dropped while the last frames were under way.
        if let Some(cause) = self.tunnel.cause() {
            facts.tunnel_end = Some(match cause {
                Cause::Client => TunnelEnd::Client,
                Cause::Upstream => TunnelEnd::Upstream,
                Cause::Idle => TunnelEnd::Idle,
                Cause::Drain => TunnelEnd::Drain,
            });
            facts.end = End::Complete;
            facts.ended = Some(Instant::now());
        }
        facts.bytes_out = self.tunnel.bytes_out();
        if let Some(upload) = &facts.upload {
            upload.note(UploadStage::Done, self.tunnel.bytes_in());
        }
    }
}
