//! Maps configuration keys of other proxies to the keys of Lockgate, for diagnostics. Must not know TOML.

/// A key of another proxy, the name of that proxy, and the equivalent key of Lockgate.
const FOREIGN_KEYS: &[(&str, &str, &str)] = &[
    ("proxy_pass", "nginx", "`endpoints` of a [backends.NAME], and `backend` of a route"),
    ("upstream", "nginx", "`endpoints` of a [backends.NAME]"),
    ("upstreams", "Caddy", "`endpoints` of a [backends.NAME]"),
    ("server", "nginx", "`http` of [listen], or `endpoints` of a [backends.NAME]"),
    ("servers", "Traefik", "`endpoints` of a [backends.NAME]"),
    ("server_name", "nginx", "`host` of a route"),
    ("location", "nginx", "`path` of a route"),
    ("proxy_connect_timeout", "nginx", "`connect_timeout`"),
    ("proxy_read_timeout", "nginx", "`response_timeout` for the response head, `idle_timeout` for the body"),
    ("proxy_send_timeout", "nginx", "`response_timeout`, which starts once the backend has taken the body, or `total_timeout`"),
    ("proxy_next_upstream", "nginx", "`retry` of a route"),
    ("proxy_set_header", "nginx", "`request_headers = { set = {...} }`"),
    ("proxy_hide_header", "nginx", "`response_headers = { remove = [...] }`"),
    ("add_header", "nginx", "`response_headers = { set = {...} }`"),
    ("proxy_intercept_errors", "nginx", "always on: see `client_errors` and `server_errors`"),
    ("error_page", "nginx", "[errors]: format, template, messages"),
    ("client_max_body_size", "nginx", "`request_body_limit`"),
    ("client_body_timeout", "nginx", "`body_timeout` of [listen]"),
    ("client_header_timeout", "nginx", "`header_timeout` of [listen]"),
    ("large_client_header_buffers", "nginx", "`max_header_size` of [listen]"),
    ("keepalive_timeout", "nginx", "`idle_timeout` of [listen]"),
    ("send_timeout", "nginx", "`write_timeout` of [listen]"),
    ("proxy_request_buffering", "nginx", "`buffer_request`"),
    ("limit_req", "nginx", "`limits` of a route, and a [limits.NAME]"),
    ("limit_conn", "nginx", "`max_in_flight` of a [limits.NAME]"),
    ("set_real_ip_from", "nginx", "`trusted_proxies` of [listen]"),
    ("worker_processes", "nginx", "`workers` of [listen]"),
    ("worker_connections", "nginx", "`max_connections` of [listen]"),
    ("access_log", "nginx", "`access` of [log]"),
    ("bind", "HAProxy", "`http` of [listen]"),
    ("maxconn", "HAProxy", "`max_connections` of [listen], or `pool = { max_connections = N }` of a backend"),
    ("timeout_connect", "HAProxy", "`connect_timeout`"),
    ("timeout_server", "HAProxy", "`response_timeout`"),
    ("timeout_client", "HAProxy", "`header_timeout`, `body_timeout` and `idle_timeout` of [listen]"),
    ("timeout_queue", "HAProxy", "`queue` of a backend"),
    ("option_redispatch", "HAProxy", "`retry` of a route"),
    ("retries", "HAProxy", "`retry = { attempts = N }`"),
    ("errorfile", "HAProxy", "[errors]: format, template, messages"),
    ("entrypoints", "Traefik", "`http` of [listen]"),
    ("entryPoints", "Traefik", "`http` of [listen]"),
    ("routers", "Traefik", "[[routes]]"),
    ("services", "Traefik", "[backends.NAME]"),
    ("middlewares", "Traefik", "keys of a route"),
    ("passHostHeader", "Traefik", "`host_header = \"client\"` of a backend"),
    ("pass_host_header", "Traefik", "`host_header = \"client\"` of a backend"),
    ("forwardedHeaders", "Traefik", "`trusted_proxies` of [listen]"),
    ("trustedIPs", "Traefik", "`trusted_proxies` of [listen]"),
    ("stripPrefix", "Traefik", "`strip_prefix` of a route"),
    ("rateLimit", "Traefik", "`limits` of a route, and a [limits.NAME]"),
    ("reverse_proxy", "Caddy", "`backend` of a route"),
    ("handle_path", "Caddy", "`path` and `strip_prefix` of a route"),
    ("header_up", "Caddy", "`request_headers`"),
    ("header_down", "Caddy", "`response_headers`"),
    ("lb_policy", "Caddy", "`balance` of a backend"),
    ("health_uri", "Caddy", "[backends.NAME.health] `path`"),
    ("dial_timeout", "Caddy", "`connect_timeout`"),
    ("response_header_timeout", "Caddy", "`response_timeout`"),
    ("request_body", "Caddy", "`request_body_limit`"),
    ("clusters", "Envoy", "[backends.NAME]"),
    ("cluster", "Envoy", "`backend` of a route"),
    ("listeners", "Envoy", "[listen]"),
    ("virtual_hosts", "Envoy", "`host` of a route"),
    ("prefix_rewrite", "Envoy", "`strip_prefix` of a route"),
    ("lb_endpoints", "Envoy", "`endpoints` of a [backends.NAME]"),
    ("outlier_detection", "Envoy", "[backends.NAME.breaker]"),
    ("circuit_breakers", "Envoy", "`max_in_flight` and [backends.NAME.breaker]"),
    ("retry_policy", "Envoy", "`retry` of a route"),
    ("num_retries", "Envoy", "`retry = { attempts = N }`, which includes the first attempt"),
    ("per_try_timeout", "Envoy", "`response_timeout`"),
    ("max_request_headers_kb", "Envoy", "`max_header_size` of [listen]"),
    ("stream_idle_timeout", "Envoy", "`idle_timeout`"),
    ("request_timeout", "Envoy", "`total_timeout`"),
];

/// Returns the proxy that a key belongs to, and the equivalent key of Lockgate.
pub(super) fn foreign_key(key: &str) -> Option<(&'static str, &'static str)> {
    FOREIGN_KEYS.iter().find(|(name, ..)| *name == key).map(|(_, proxy, equivalent)| (*proxy, *equivalent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_listed_once() {
        let names: std::collections::HashSet<_> = FOREIGN_KEYS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names.len(), FOREIGN_KEYS.len());
        assert_eq!(foreign_key("proxy_pass").map(|(proxy, _)| proxy), Some("nginx"));
        assert_eq!(foreign_key("connect_timeout"), None);
    }
}
