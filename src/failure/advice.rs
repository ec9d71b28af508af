//! What the operator does about each kind of failure. `lockgate explain` and docs/error-reference.md show it.
//!
//! Must not know how a failure is detected (`classify`) or rendered (`render`).

use super::Kind;

impl Kind {
    /// Returns what the operator does, in whole sentences. Keys and commands stand in backticks. The match is exhaustive, so a new kind
    /// does not compile without advice.
    #[allow(clippy::too_many_lines, reason = "a table, one row a kind")]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::DnsError => {
                "Check the host name in `endpoints` and the resolver of the gateway's machine. After a failed refresh, the last good addresses \
                 stay in use, so this failure means that there were none yet."
            }
            Self::DnsTimeout => "Check that the name server answers. `connect_timeout` includes the time of name resolution.",
            Self::Unroutable => "Check the address in `endpoints`, the routing table and the network between the gateway and the backend.",
            Self::Prohibited => "Check the firewall and the network policy of the gateway's machine: the system refuses the connection.",
            Self::ConnectionRefused => {
                "Check that the service runs and listens on the address and port in `endpoints`. Several endpoints with `health` keep \
                 requests away from one that is down."
            }
            Self::ConnectTimeout => {
                "Check that the host is up and that no firewall drops packets. A full accept queue of the service has the same effect. \
                 `connect_timeout` is the time allowed."
            }
            Self::TlsProtocol => {
                "Read the cause in the log. A common reason is an `https://` endpoint whose port speaks plain HTTP, or a service that only \
                 knows TLS 1.1 and older."
            }
            Self::TlsCertificate => {
                "Read the cause in the log: it says whether the certificate has expired, has another name or an unknown issuer. Renew it, or \
                 set `tls.ca`, `tls.server_name` or `tls.pin` of the backend."
            }
            Self::TlsAlert => {
                "Read the name of the alert in the log. A service that asks for a client certificate needs `tls.cert` and `tls.key` of the \
                 backend."
            }
            Self::ConnectionLost => {
                "Look for a crash or restart of the service at this time. If it happens to idle connections, make `pool.idle_timeout` \
                 shorter than the keep-alive timeout of the service. `retry` with `\"lost\"` repeats idempotent requests."
            }
            Self::ResponseIncomplete => {
                "Look for a crash of the service while it wrote this response, or for a wrong `Content-Length`. If the response had begun, \
                 the client saw it break off."
            }
            Self::ResponseMalformed => {
                "Read the cause in the log, which names the line that is not valid. Check that the port speaks HTTP, and that `protocol` of \
                 the backend is right."
            }
            Self::ResponseCoding => {
                "Report it to the developers of the service or of its server: the chunked coding of its response is broken."
            }
            Self::ResponseHeadersTooLarge => {
                "Find out which headers the service sends. Often it sets cookies again and again, or puts a session into them."
            }
            Self::ResponseHeaderTooLarge => "Find out which header of the service is too large. Often it is a cookie or a token.",
            Self::StreamRefused => {
                "Check whether the service is restarting or limits its streams. Lockgate has repeated the request as often as it may; more \
                 endpoints or more capacity help."
            }
            Self::ResponseTimeout => {
                "Find out why the service is slow for this request: the entry in the journal has the path and the times. If the work takes \
                 that long, raise `response_timeout` of the route."
            }
            Self::TotalTimeout => {
                "Look at the attempts in the journal. The deadline is `total_timeout`, or what the client asks for in `X-Request-Deadline` or \
                 `grpc-timeout`."
            }
            Self::UploadTimeout => "Check whether the service reads request bodies, and whether it is overloaded.",
            Self::UpstreamError => {
                "Look up the request id: `lockgate errors show ID` prints what the service said. Fix the service. A body with this error that \
                 clients may see can pass with `pass`."
            }
            Self::UpstreamBadGateway => {
                "The service is a proxy itself, and what is behind it failed. Look up the request id in the journal, then look at that proxy."
            }
            Self::UpstreamUnavailable => {
                "The service says that it is overloaded or in maintenance. Its `Retry-After` was passed on. Add capacity, or use \
                 `max_in_flight` to protect it."
            }
            Self::UpstreamGatewayTimeout => {
                "The service is a proxy itself, and what is behind it was too slow. Look up the request id in the journal, then look at that \
                 proxy."
            }
            Self::UpstreamRateLimited => {
                "The service limits this client, or the gateway as a whole if it counts by address: let it read `X-Forwarded-For`. \
                 `upstream_429 = \"unavailable\"` tells clients 503 instead."
            }
            Self::UpstreamClientError => {
                "Usually nothing: the service refused the request of the client. If clients miss a part of its error, use `keep_fields` or \
                 `pass`."
            }
            Self::Duplicate => "Usually nothing: a value of the request exists already. The name of the constraint is in the journal.",
            Self::Reference => {
                "Usually nothing: the request names something that does not exist. The name of the constraint is in the journal."
            }
            Self::NoEndpoint => {
                "Look at `lockgate_endpoint_up` and `lockgate_breaker_state`, and in the log for the reason of the ejection. Repair the endpoints; \
                 they come back by themselves."
            }
            Self::Overloaded => {
                "Find the limit that was reached: the cause in the log names it. Add capacity, or raise `max_in_flight`, \
                 `pool.max_connections` or `listen.max_connections` if the service and the gateway can take more."
            }
            Self::ShuttingDown => {
                "Nothing, if the gateway was to be stopped. If clients see it at each release, let the load balancer watch `/readyz` and make \
                 `drain_delay` longer than its interval."
            }
            Self::Maintenance => "Remove `maintenance` from the route when the work is done. An end time does that by itself.",
            Self::Denied => {
                "Nothing, if the client is to be refused. Otherwise correct `access` or `deny`. Behind a load balancer, name its networks in \
                 `trusted_proxies`, so that the client's own address counts."
            }
            Self::Unauthorized => {
                "Nothing, if the client has no password. `lockgate_auth_total` counts the results; many failures are guesses."
            }
            Self::AuthRefused => "Nothing, if the client is to be refused. Otherwise look at the log of the authentication service.",
            Self::AuthUnavailable => {
                "Check the service in `auth.forward`: it is down, slow, or answered with something else than 2xx, 401, 403 or a redirect. Nobody \
                 enters until it works."
            }
            Self::Responded => "Nothing: `respond` of the route says so.",
            Self::RateLimited => {
                "Nothing, if the client sends too much. If many clients are counted as one, name the load balancer in `trusted_proxies`, or \
                 choose another `key` of the limit."
            }
            Self::RouteNotFound => "Ask `lockgate route METHOD URL` which routes were considered. Add a route for the host and the path.",
            Self::MethodNotAllowed => {
                "Ask `lockgate route METHOD URL`. If other methods are to reach a less specific route, add a route for the same path without \
                 `methods`."
            }
            Self::BadRequest => {
                "Read the cause in the log: it names what is malformed or ambiguous. The client or a proxy in front has to send something \
                 else."
            }
            Self::PayloadTooLarge => "Raise `request_body_limit` of the route if such bodies are wanted.",
            Self::UriTooLong => "Nothing: a target has at most 16 KiB. Long forms belong into a body.",
            Self::HeadersTooLarge => {
                "Raise `listen.max_header_size` if the client is right. Often a cookie grows with each visit; let the service delete it."
            }
            Self::RequestTimeout => {
                "Nothing for single clients on bad networks. If many uploads end so, compare `listen.header_timeout`, `listen.body_timeout` \
                 and `min_rate` with what clients need."
            }
            Self::ExpectationFailed => "Nothing: the client asks for an expectation other than `100-continue`.",
            Self::CodingNotSupported => "Nothing: the client sends a transfer coding other than `chunked`.",
            Self::UpgradeNotPermitted => {
                "Add `\"websocket\"` to `upgrades` of the route if it is to serve WebSocket, and use a backend without `protocol = \"h2\"`."
            }
            Self::WebSocketVersion => "Nothing: the client has to use version 13 of the protocol (RFC 6455).",
            Self::LoopDetected => "Check `endpoints`: the request came back to the gateway itself, directly or by way of another proxy.",
            Self::ClientClosed => {
                "Nothing for single requests. If many clients leave, they wait too long: compare `durationMs` of these lines with the timeout of \
                 the client."
            }
            Self::Internal => "Report it with the line of the log, as SECURITY.md or CONTRIBUTING.md says: the gateway has a bug.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_whole_sentences() {
        for kind in Kind::ALL {
            let advice = kind.advice();
            assert!(advice.ends_with('.') && advice.starts_with(char::is_uppercase), "{kind:?}: {advice}");
            assert!(advice.matches('`').count() % 2 == 0 && !advice.contains("  "), "{kind:?}: {advice}");
        }
    }
}
