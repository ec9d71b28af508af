//! Lockgate: a reverse proxy that converts every error into one consistent response format.
//!
//! This page is the map of the project: the path of a request, the modules and their levels, and the files to edit for a change. Start to
//! read the code at [`gateway`]. `docs/glossary.md` defines the terms.
//!
//! # Path of a request
//!
//! ```text
//!             server ──▶ gateway ──▶ route ──▶ limit ──▶ upstream ──▶ report ──▶ relay ──▶ client
//!             (bytes)       │  each stage may end the                (reads an   (streams
//!                           │  request with a Failure                  error)    a success)
//!                           ▼
//!             gateway::answer: redact ──▶ message ──▶ Envelope ──▶ render ──▶ client
//!                           └─────────▶ observe (log, metrics) ──▶ operator
//! ```
//!
//! # Levels
//!
//! | level | modules | what they are |
//! |---|---|---|
//! | 0 | [sync], [timer], [socket], [text], [mod@write], [header], [regular_file], [data_rate], [failure], [policy], [context], [language], [envelope], [rpc], [body] | shared types |
//! | 1 | [http1], [breaker], [config], [report], [redact], [message], [render] | pure functions: no clock, no I/O except to read secret files |
//! | 2 | [route], [limit], [auth], [upstream], [relay], [tunnel], [observe], [journal], [notify], [memory], [tls] | parts with state |
//! | 3 | [plan] | the compiled configuration |
//! | 4 | [gateway] | the stages of a request |
//! | 5 | [explain] | explanations of the configuration |
//! | 6 | [server], [admin] | the listeners |
//! | 7 | [app] | the composition of all parts |
//! | 8 | [cli] | the command line |
//!
//! A file imports only from lower levels and from its own module. Modules of one level do not import each other; [`gateway`] connects
//! them. A module of level 0 may also import those before it in the table. `tests/it/architecture.rs` checks these rules.
//!
//! # Files
//!
//! The first lines of each file state its purpose and what it must not know. A module without a list of files is `src/NAME.rs`.
//!
//! - [`http1`] parses and writes HTTP/1 messages, for both sides. Files: `request` and `response` (heads), `framing` and `chunked`
//!   (bodies), `write` (heads and chunks), `sending` (what is still to be written), `target`, `syntax`.
//! - [`server`] drives client connections: HTTP/1 and HTTP/2, timeouts, drain. Files: `listen` (sockets, accept loop), `connection` (one
//!   connection to its end), `http1` and `arriving_body` (the loop of an HTTP/1 connection), `tls` and `proxy_header` (the beginning of a
//!   connection), `client_socket` (TCP or TLS), `counted_tcp`, `slow_client` (whether it still reads), `client_stream` (bytes that are
//!   read and written), `request_body`, `response`, `early` (errors before there is a request), `http2/*` (HTTP/2 by hyper: `io`,
//!   `guard` and `guard/*` (below h2), `head`, `service`, `websocket`, `state`, `clock`), `settings`.
//! - [`gateway`] takes a request through its stages; `src/gateway.rs` calls them in order. Files: `request` (the request and its record),
//!   `routing`, `local` (redirects and fixed responses), `check` (rejections for every route), `access` (clients by address), `admit` and `admission` (permits), `limits` and
//!   `limit_key`, `authenticate`, `forward_auth` and `identity` (who the user is), `buffer` and `payload` (the request
//!   body), `cors`, `deadline`, `outgoing` (the upstream request), `destination` (of WebDAV), `inspect`, `redirect_page` and `prepared` (the upstream response), `read` (an upstream
//!   error), `dry_run` (an error that passes), `evidence` and `journaled` (what the journal gets), `leak_guard`, `grpc`, `grpc_web` (translation), `upgrade` (the rules of an upgrade) and `upgraded` (its tunnel and record), `heads` (response headers), `outcome`, `answer` (outcome to response), `build_envelope` (status, code,
//!   message, fields and `Retry-After` of an error), `finish` (end of the response), `traced` (spans), `preview` (decisions about a request that is not sent), `rescue` (panics), `state` (shared state, lifecycle).
//! - [`route`] finds the rule for host, path, conditions and method. Files: `table` and `paths` (look-up), `segments` (captures),
//!   `expressions`, `choices` (rules of one path), `rule`, `pattern` and `conditions` (what a rule matches), `asked` (what of a request
//!   decides), `template` (placeholders), `ambiguity` (paths that can be read in two ways).
//! - [`limit`] limits rates, requests in flight and memory. Files: `rate`, `local`, `store` (rates in this process), `shared` and
//!   `shared.lua` (rates in Redis), `gate` (permits with a queue), `gradient` (adaptive limit), `inflight`, `concurrency` (in flight, in
//!   total and per key), `key`, `reserve` (memory for bodies).
//! - [`auth`] verifies names and passwords. Files: `credentials` (of a request), `htpasswd` (the file), `hash` (bcrypt, Argon2), `verifier`
//!   (bounded work, cache).
//! - [`upstream`] sends a request and returns the response head. Files: `dispatch` (start here), `upload` (the request body), `background`
//!   (name resolution, health probes).
//! - [`upstream::retry`] decides what follows an attempt. Files: `policy` and `follow` (retries), `hedge`.
//! - [`upstream::attempt`] makes one attempt at one endpoint. Files: `exchange` (request and response head), `clocks` (its waits),
//!   `exchange_http2` (the same on a stream), `outgoing` (the request),
//!   `response` (the response, whose body holds the connection), `private` (NTLM connections).
//! - [`upstream::choose`] chooses an endpoint. Files: `backend`, `endpoint`, `balance`, `health`, `load`, `latencies`, `budget` (of
//!   retries), `counts` (for metrics), `settings`.
//! - [`upstream::heads`] edits request and response heads. Files: `scan` (what a request has), `request`, `response`, `forwarding` (`X-Forwarded-*`), `mapping`,
//!   `own_address` and `internal` (addresses in responses), `trace_context`.
//! - [`upstream::connect`] connects to endpoints. Files: `resolve` (DNS), `connector`, `tls`, `verify` (certificates), `stream` (TCP or TLS), `first_bytes` (for diagnoses), `http1` (a connection
//!   as a value), `http2/*` (connections that are shared: `open`, `drive`, `connection`, `stream`), `http` (either), `multiplex` (the shared ones), `pool`, `per_client` (fair shares), `usage` (for metrics), `target`.
//! - [`report`] reads message, code and field errors of an upstream error. Files: `decode` (charset, compression), `reader` (chooses the
//!   reader), `json` and `json/shapes/*` (one file per API standard), `xml` (`xml/soap`: faults), `html` (`html/place`: alert, main part or chrome), `plain`, `success` (errors in 2xx), `database`
//!   (constraint violations), `names`, `phrases`, `excerpt` (for the log), `extra` (further members), `found`.
//! - [`redact`] removes internals from text. Files: `rules/*` (the patterns: `traces`, `faults`, `paths`, `sql`, `secrets`,
//!   `addresses`), `redactor`, `sentence`, `markup` and `quotation` (messages), `members` (single JSON values), `document`, `json` and `blocks` (documents), `guard`
//!   (streams), `credentials` (the log), `view`, `log_line` and `encoded` (escapes, prefixes of logs, base64), `engine`, `search`,
//!   `pattern`, `required` and `strings` (the search).
//! - [`message`] holds the messages of all codes and chooses the language. Files: `languages/*.toml` (one file per language).
//! - [`render`] writes error responses. Files: `negotiate` (`Accept`), `json`, `xml`, `html`, `text`, `rpc` (GraphQL, JSON-RPC, gRPC),
//!   `template` and `pages` (of the operator), `place` and `place/reader` (places of HTML), `values`.
//! - [`relay`] streams successful bodies to the client. Files: `src/relay.rs`, `ahead` (reads ahead of slow HTTP/2 clients), `guarded`
//!   (leak guard), `web_trailers` (gRPC-Web of an upstream), `to_web` (gRPC as gRPC-Web).
//! - [`tunnel`] copies both ways after an upgrade (WebSocket). Files: `src/tunnel.rs` (both directions, clocks, close), `way` (one
//!   direction), `frames` (boundaries of WebSocket frames), `handshake` (keys).
//! - [`observe`] writes the log and the metrics. Files: `access_record`, `recorder`, `line`, `field`, `access_log`, `selection`, `template`, `pretty` and `fields` (the access line), `sample`
//!   (which requests have one), `level`, `writer` and `log_file` (the output thread), `metrics` (start here), `names/*` (the table of all metrics), `route_metrics`,
//!   `auth_metrics`, `tls_metrics`, `reload_metrics`, `process`, `open_tunnel`, `failures`, `codes` (statuses as labels), `percore`, `histogram`, `exemplars`, `named`,
//!   `exposition` (the text), `trace/*` (spans for a collector).
//! - [`journal`] keeps failed requests with what the upstream said. Files: `observation` (what a request hands over), `mask`, `rules`, `texts` and `entry` (what is
//!   stored), `names` and `judged` (names of credentials), `segments` and `protocols` (paths with credentials, names that are none), `payload` and `payload/*` (bodies of requests), `sample` (which entries are kept), `recent` (the latest), `fingerprint` and `fingerprint/*` (which entries belong together), `group` and `words` (what all stores share), `query` and `store`
//!   (questions), `memory`, `sqlite` and `sqlite/*`, `postgres` and `postgres/*` (the stores), `packed` (an entry as bytes), `writer` (queue and thread).
//! - [`notify`] tells people and programs of failures. Files: `event` (what happens, and the queue), `settings`, `notifier` (rules, digests,
//!   bounds), `rate`, `message`, `content` with `chat`, `sentry` and `template` (its forms), `deliver` (sends), `dispatch` (the task).
//! - [`config`] reads the configuration file. Files: `file` and `file/errors` (all keys), the readers of sections: `keys` (listen, log, redis), `limits`,
//!   `routes` and `actions`, `access` (who may enter), `policy_keys` (what routes, backends and defaults share), `upstreams` (backends), `errors`, `telemetry`, `notify`;
//!   `values`, `units`, `section`, `words` (suggestions), `expand` (`${ENV}`, `file:`), `diagnose`, `other_proxies` and `other_proxies.toml` (keys of other proxies).
//! - [`plan`] compiles the configuration. Files: `compile` (start here), `policies` (defaults), `presenters` and `pages` (error responses), `targets`
//!   (backends), `routes`, `matching`, `actions` and `route` (routes), `access` and `auth` (who may enter), `split` (several backends), `listen_tls`, `limits`, `log`, `telemetry`, `notify`, `advice` (warnings), `live` (state that a new plan takes over), `gauges`.
//! - [`config::schema`] is the table of all keys, with type, default and description of each. Files: `keys/*.toml` (the table), `kind` (types),
//!   `value` (TOML and JSON), `json_schema`, `agreement` (the test that the readers have the same keys).
//! - [`explain`] explains a configuration. Files: `effective` (the values in force, with origins), `build` (finds them), `shown` (masks
//!   secrets), `print` (TOML, JSON), `diff`, `route` (the route of a request), `rejected` (other routes), `told` (text, JSON).
//! - [`failure`] defines the kinds of failures. Files: `catalog` (status, code and reason of each kind), `advice` (what the operator does), `classify` (errors of libraries).
//! - [`cli`] executes the commands. Files: `args` (grammar, help), `run`, `log` (its events), `init`, `check`, `test/*` (runs cases), `record/*` (writes them),
//!   `cases/*` (what a case is, and its gateway without network), `demo/*`, `errors`, `explain`, `openapi`, `redact`,
//!   `journal` and `journal/*` (`errors list` and the like), `healthcheck`, `reload`, `notify`, `completions`, `man`, `schema`, `config`, `diff`, `route`, `admin_client`, `source` (finds the configuration
//!   file), `output`.
//! - Shared types: [`context`] (the request as it arrived, request ids; `context/spans`: what is kept of a traced request), [`language`] (of a client), [`policy`] (the settings of a route; `policy/cors`, `policy/kept`: errors that are kept), [`envelope`] (the content of
//!   an error response), [`body`] (response bodies, upload progress), [`text`] (untrusted, clean and secret text), [`header`], [`rpc`]
//!   (gRPC), [`data_rate`] (minimum rate of clients), [`mod@write`] (fast formatting), [`regular_file`] (files of the operator), [`sync`] (locks and atomics), [`socket`] (reads and writes).
//! - [`tls`] is TLS of the listener. Files: `certificates` (what handshakes use), `sources`, `files`
//!   (certificates and keys), `by_name` (the choice by server name).
//! - [`admin`] is the admin listener: health, metrics, configuration, journal. Files: `table` (all pages and who may use them), `pages` (start here), `role`, `client` (who asks),
//!   `session`, `attempts` (bounds wrong tokens), `entrance` (login, logout), `audit` (what is written down), `guard` (headers of requests), `response`, `reload` (what the
//!   reload is asked and shown), `log_level`, `api` (the journal as JSON), `openapi` (its description), `site` (serves the pages of the journal); `page/*` are these pages (`page/mod` answers, one
//!   file per page, `templates/page` their HTML, `page/languages/*.toml` their texts).
//! - [`app`] starts, reloads and shuts down. Files: `core` (the thread of a core), `telemetry` and `collector` (the export of traces), `http_client` (own requests), `notify` and `states` (events and receivers of notifications), `listeners` (sockets), `running` (from one plan to the
//!   next), `reload` (the task), `source` (loads the configuration), `files` (their changes), `beside` (work that is less urgent), `service` and `inherited` (what a service manager is told, and its sockets), `log` (its outputs), `certificates` (of the listener).
//! - Other single files: [`breaker`] (circuit breaker), [`memory`] (allocator).
//!
//! # Common changes
//!
//! | change | files |
//! |---|---|
//! | a configuration key | `config/file`, the reader of its section, `config/schema/keys`, `policy`, `plan/policies` or `plan/compile`, `config/full.toml`; `docs/configuration-reference.md` is generated |
//! | a kind of failure | `failure/mod`, `failure/catalog`, `failure/advice`, `failure/classify`, `message/languages/*.toml`; `docs/error-reference.md` is generated |
//! | a message or a language | `message/languages/*.toml`, for a new language also `message/mod` |
//! | the body of error responses | `envelope`, `gateway/build_envelope`, `render/json`, `render/xml` |
//! | the status of upstream errors | `failure/mod`, `failure/catalog`, `gateway/read` (rules of the operator) |
//! | how error bodies are read | `report/json/shapes` (JSON of one standard), `report/names` (any JSON), `report/html` |
//! | a pattern of internals | `redact/rules/*`, examples in `tests/cases/traces` and `tests/cases/benign` |
//! | parsing or framing of HTTP/1 | `http1`, then `server/http1` or `upstream/connect/http1` |
//! | headers | `upstream/heads/request`, `upstream/heads/response`, `gateway/heads` |
//! | load balancing, health checks | `upstream/choose/balance`, `upstream/choose/health`, `upstream/background` |
//! | a timeout | `upstream/attempt/exchange`, `upstream/upload`, `relay`, `server/http1`, `server/http2/clock`, `gateway/deadline` |
//! | upgrades, WebSocket | `gateway/upgrade`, `gateway/upgraded`, `tunnel` |
//! | who may enter | `gateway/access`, `gateway/authenticate`, `auth/*`, `plan/access` |
//! | rate limits | `gateway/limits`, `limit/*`, `plan/limits` |
//! | a metric | `observe/names/*`, `observe/metrics`, `plan/gauges`; `docs/metrics.md` is generated |
//! | a field of the access line | `observe/access_record`, `observe/field`, `observe/access_log` |
//! | an attribute of a span | `context/spans`, `observe/trace/span` |
//! | a page of the admin listener | `admin/table`, `admin/openapi.json`, then `admin/pages` or `admin/page` |
//! | a page of the journal | `admin/page`, `templates/page`, `admin/page/languages`, `tests/page` |
//! | a rule or a form of notifications | `config/file/notify`, `config/notify`, `notify/notifier`, `notify/content` |
//! | a command | `cli/args`, `cli/mod`, a file in `cli` |

pub mod admin;
pub mod app;
pub mod auth;
pub mod body;
pub mod breaker;
pub mod cli;
pub mod config;
pub mod context;
pub mod data_rate;
pub mod envelope;
pub mod explain;
pub mod failure;
pub mod gateway;
pub mod header;
pub mod http1;
pub mod journal;
pub mod language;
pub mod limit;
pub mod memory;
pub mod message;
pub mod notify;
pub mod observe;
pub mod plan;
pub mod policy;
pub mod redact;
pub mod regular_file;
pub mod relay;
pub mod render;
pub mod report;
pub mod route;
pub mod rpc;
pub mod server;
pub mod socket;
pub mod sync;
pub mod text;
pub mod timer;
pub mod tls;
pub mod tunnel;
pub mod upstream;
pub mod write;
