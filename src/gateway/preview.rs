//! What the gateway would do with a request, without doing it: the same decisions as for a real one, for explanations.
//!
//! Must not contact anything, count anything or know how the answers are told.

use std::net::IpAddr;
use std::time::SystemTime;

use http::{Method, Uri, Version, header};
use tokio::time::Instant;

use super::limit_key::{self, Who};
use super::request::Request;
use super::{access, check, local, outgoing, routing, secure};
use crate::config::limits::KeySource;
use crate::context::{RequestContext, RequestId};
use crate::failure::Failure;
use crate::header::HeaderList;
use crate::language;
use crate::plan::{Forward, Plan, Redirect, Route};
use crate::policy::{ErrorPolicy, Scheme};
use crate::render::negotiate::{self, Shape, Terms};
use crate::route::{Asked, Query};
use crate::upstream::heads::scan::{self, HeaderScan};

/// A request that has not been sent.
#[derive(Debug)]
pub struct Preview {
    context: RequestContext,
    seen: HeaderScan,
    headers: HeaderList,
    scheme: Scheme,
    /// The method that decides the route: the one that a CORS preflight asks about, or that of the request.
    routed: Method,
}

impl Preview {
    /// Creates a request of a client at this address. `uri` has a path and a query only; the host is in the headers.
    pub fn new(method: Method, uri: Uri, headers: HeaderList, client: IpAddr, scheme: Scheme) -> Self {
        let (seen, wanted, named) = scan::scan(&headers, "");
        let wall = SystemTime::now();
        let context = RequestContext {
            id: RequestId::generate(wall),
            arrival: Instant::now(),
            wall,
            method: method.clone(),
            uri,
            version: Version::HTTP_11,
            tls: None,
            named,
            raw_query: None,
            client: client.to_canonical(),
            wanted,
        };
        let mut preview = Self { context, seen, headers, scheme, routed: method };
        if let Some(asked) = preview.request().preflight_method() {
            preview.routed = asked;
        }
        preview
    }

    fn request(&self) -> Request<'_> {
        Request::of(&self.context, &self.seen)
    }

    /// Returns the parts that decide which route matches.
    pub fn asked(&self) -> Asked<'_> {
        let request = self.request();
        Asked {
            host: request.host(),
            path: self.context.uri.path(),
            query: Query::new(self.context.uri.query()),
            method: &self.routed,
            headers: &self.headers,
            client: self.context.client,
            scheme: self.scheme,
        }
    }

    /// Returns the address of the client.
    pub fn client(&self) -> IpAddr {
        self.context.client
    }

    /// Returns the https URL that a request to a plain listener is sent to, whatever its route.
    pub fn secure_location(&self, plan: &Plan) -> Option<String> {
        secure::location(plan, self.scheme == Scheme::Https, self.request())
    }

    /// Checks what no route decides: the method and the host.
    ///
    /// # Errors
    /// As for a request.
    pub fn checked(&self) -> Result<(), Failure> {
        check::method(self.request())?;
        check::host(self.request())
    }

    /// Finds the route. Of several backends, it is the one that the next request would get; its turn is not taken.
    ///
    /// # Errors
    /// As for a request; a route that does not allow the method is returned with the failure.
    pub fn route<'p>(&self, plan: &'p Plan) -> Result<(&'p Route, Option<Failure>), Failure> {
        let (chosen, refused) = routing::peek(&plan.routes, self.request(), &self.headers, self.scheme)?;
        Ok((&**chosen.route, refused))
    }

    /// Checks the address of the client.
    ///
    /// # Errors
    /// The route does not admit it.
    pub fn admitted(&self, route: &Route) -> Result<(), Failure> {
        access::check(route, self.request())
    }

    /// Returns path and query for the backend.
    ///
    /// # Errors
    /// The path cannot be rewritten.
    pub fn target(&self, route: &Route, forward: &Forward) -> Result<String, Failure> {
        outgoing::target(&route.policy, forward, self.request(), self.scheme).map(|target| target.to_string())
    }

    /// Returns the URL that the client is sent to.
    ///
    /// # Errors
    /// The redirect needs what the request does not have, or leads to the same URL.
    pub fn redirect(&self, redirect: &Redirect) -> Result<String, Failure> {
        let passed = local::redirect(redirect, self.request(), self.scheme).map_err(|outcome| outcome.failure)?;
        let location = passed.headers.get(header::LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Ok(location.unwrap_or_default())
    }

    /// Returns the shape of an error response to this client.
    pub fn shape(&self, policy: &ErrorPolicy) -> Shape {
        negotiate::shape(self.request().asked(), Terms::of(policy))
    }

    /// Returns the language of an error response to this client.
    pub fn language<'p>(&self, policy: &'p ErrorPolicy) -> &'p str {
        language::negotiate(self.context.wanted.language.as_deref(), &policy.languages)
    }

    /// Returns false if a limit counts this request by the address of its client, because it does not have what the key is made of.
    pub fn has_key(&self, source: &KeySource) -> bool {
        limit_key::is_present(source, Who { request: self.request(), headers: &self.headers })
    }
}
