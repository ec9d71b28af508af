//! What requests share: a core, its gateway, the lifecycle of the process, and the client connection.
//!
//! Plain data. Knows nothing of the stages of a request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::sync::Notify;

use super::journaled;
use crate::body::InterimResponses;
use crate::context::{Peer, WallClock};
use crate::header::HeaderList;
use crate::journal::Journal;
use crate::limit::shared::StoreClient;
use crate::observe::access_record::Record;
use crate::observe::recorder::Recorder;
use crate::observe::trace::tracer::Tracer;
use crate::plan::Plan;
use crate::policy::Scheme;
use crate::upstream::attempt::Upstreams;
use crate::upstream::attempt::private::Private;
use crate::upstream::connect::proxy_header::Addresses;
use crate::upstream::heads::scan::HeaderScan;

/// One core, from the start of the process to its end.
#[derive(Debug)]
pub struct Core {
    /// Opens connections to upstreams.
    pub upstreams: Upstreams,
    /// `1.1 lockgate-...`: the pseudonym of this process in `Via`, which shows a loop.
    pub via: HeaderValue,
    /// The state of the shutdown.
    pub lifecycle: Arc<Lifecycle>,
    /// Wall time, which the core's upkeep sets.
    pub wall: WallClock,
    /// Wakes requests under way when `drain_timeout` has elapsed.
    pub over: Notify,
    /// Keeps failed requests, if there is a journal.
    pub journal: Option<Journal>,
}

impl Core {
    /// The pseudonym alone, without the protocol version of `via`.
    pub(super) fn pseudonym(&self) -> &str {
        self.via.to_str().unwrap_or_default().strip_prefix("1.1 ").unwrap_or_default()
    }
}

/// One core's gateway: everything that a request of this core may use. A request keeps the gateway with which it began.
pub struct Gateway {
    /// The compiled configuration.
    pub plan: Arc<Plan>,
    /// The store of limits that gateways share.
    pub shared: Option<StoreClient>,
    /// Writes the access log and the metrics.
    pub recorder: Arc<Recorder>,
    /// The same, and the journal if there is one: gets the records of requests.
    pub(super) records: Arc<dyn Record>,
    /// Begins the spans of requests, if traces are exported.
    pub tracer: Option<Tracer>,
    /// What no reload changes.
    pub core: Arc<Core>,
    /// The number of gateways that this core had before.
    generation: usize,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Gateway").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// The gateway of a core, which a reload replaces.
#[derive(Debug)]
pub struct CurrentGateway {
    /// What no reload changes.
    pub core: Arc<Core>,
    gateway: ArcSwap<Gateway>,
    /// That of `gateway`. A connection compares it with its own, which costs one load per request.
    generation: AtomicUsize,
}

impl CurrentGateway {
    /// Creates the first gateway of a core.
    pub fn new(core: Arc<Core>, plan: Arc<Plan>, shared: Option<StoreClient>, recorder: Arc<Recorder>, tracer: Option<Tracer>) -> Self {
        let records = journaled::records(core.journal.as_ref(), &plan, &recorder);
        let first = Gateway { plan, shared, recorder, records, tracer, core: Arc::clone(&core), generation: 0 };
        Self { core, gateway: ArcSwap::from_pointee(first), generation: AtomicUsize::new(0) }
    }

    /// Returns the gateway for the next request.
    pub fn get(&self) -> Arc<Gateway> {
        self.gateway.load_full()
    }

    /// Returns true if no other gateway has taken the place of this one.
    pub fn is_current(&self, gateway: &Gateway) -> bool {
        self.generation.load(Ordering::Acquire) == gateway.generation
    }

    /// Replaces the gateway. Only the core's own thread may call this.
    pub fn replace(&self, plan: Arc<Plan>, shared: Option<StoreClient>, recorder: Arc<Recorder>, tracer: Option<Tracer>) {
        let generation = self.generation.load(Ordering::Acquire).wrapping_add(1);
        let records = journaled::records(self.core.journal.as_ref(), &plan, &recorder);
        self.gateway.store(Arc::new(Gateway { plan, shared, recorder, records, tracer, core: Arc::clone(&self.core), generation }));
        self.generation.store(generation, Ordering::Release);
    }
}

/// The state of a shutdown; shared by all cores and the admin listener.
#[derive(Debug, Default)]
pub struct Lifecycle(AtomicU8);

impl Lifecycle {
    /// Listeners are open.
    pub fn started(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// Not ready any more, but still serving.
    pub fn draining(&self) {
        self.0.store(2, Ordering::Release);
    }

    /// New requests are rejected.
    pub fn closing(&self) {
        self.0.store(3, Ordering::Release);
    }

    /// True while load balancers should send requests.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == 1
    }

    /// True when new requests are rejected.
    pub fn is_closing(&self) -> bool {
        self.0.load(Ordering::Acquire) == 3
    }
}

/// What TLS tells of a client.
#[derive(Debug)]
pub struct TlsClient {
    /// The version of TLS, such as `TLSv1.3`.
    pub version: &'static str,
    /// Its certificate for `Client-Cert` (RFC 9440), if it showed one.
    pub certificate: Option<HeaderValue>,
}

/// One client connection, as its requests see it.
#[derive(Debug)]
pub struct Client {
    /// The gateway of its core.
    pub gateway: Arc<CurrentGateway>,
    /// Its listener accepts no requests any more, because it was removed or the process ends.
    pub closed: Arc<AtomicBool>,
    /// The peer.
    pub peer: Peer,
    /// Where it connected to, if a backend is told.
    pub local: Option<SocketAddr>,
    /// The interim responses of upstreams to its requests.
    pub interim: InterimResponses,
    /// Upstream connections that belong to it.
    pub private: Private,
    /// It is over the connection limit: its requests are rejected.
    pub surplus: bool,
    /// What TLS tells of it; `None` for a plain connection.
    pub tls: Option<Box<TlsClient>>,
    /// It has taken more than its socket can hold, so what is read for it does not pile up.
    pub takes: Arc<AtomicBool>,
}

impl Client {
    /// Returns true if its listener accepts no requests any more.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Returns the addresses that a backend is told in a PROXY header. The port of a client that another proxy has named is not known.
    pub fn addresses(&self, client: IpAddr) -> Option<Addresses> {
        let port = if self.peer.address.ip().to_canonical() == client { self.peer.address.port() } else { 0 };
        self.local.map(|listener| Addresses { client: SocketAddr::new(client, port), listener })
    }

    /// Returns the scheme of its requests.
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Returns the scheme that the user agent used: that of the connection, or the one that a trusted proxy tells.
    pub fn scheme_of(&self, headers: &HeaderList, seen: &HeaderScan) -> Scheme {
        let own = if self.tls.is_some() { Scheme::Https } else { Scheme::Http };
        if !self.peer.trusted || !seen.rare().forwarded_proto {
            return own;
        }
        // The proxy next to the client comes first.
        let told = headers.get("x-forwarded-proto").and_then(|value| value.as_bytes().split(|b| *b == b',').next());
        match told.map(<[u8]>::trim_ascii) {
            Some(told) if told.eq_ignore_ascii_case(b"https") => Scheme::Https,
            Some(told) if told.eq_ignore_ascii_case(b"http") => Scheme::Http,
            Some(_) | None => own,
        }
    }
}
