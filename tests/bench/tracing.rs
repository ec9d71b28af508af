//! What a request costs that is traced, beside one that is not: the beginning of its spans, an attempt, and its record. The difference of
//! the two must stay below 3 microseconds.
#![allow(clippy::expect_used, reason = "the values of a bench are valid")]

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use divan::{Bencher, black_box};
use http::{Method, Version};
use lockgate::config::file::LogLevel;
use lockgate::context::spans::{AttemptEnd, TraceParent};
use lockgate::context::{ClientPreferences, Named, RequestContext, RequestId, Said};
use lockgate::header::{HeaderList, names};
use lockgate::observe::access_record::{End, Facts, Record};
use lockgate::observe::level::Level;
use lockgate::observe::metrics::Metrics;
use lockgate::observe::recorder::{LineSettings, Recorder};
use lockgate::observe::sample::Access;
use lockgate::observe::trace::counters::TraceCounters;
use lockgate::observe::trace::queue::Queue;
use lockgate::observe::trace::sampler::Sampler;
use lockgate::observe::trace::tracer::{Choice, Tracer};
use lockgate::observe::writer::Sink;
use lockgate::upstream::heads::trace_context;
use tokio::time::Instant;

fn main() {
    divan::main();
}

/// After so many requests what is queued is dropped, which the exporter does on another thread.
const QUEUED: usize = 256;

fn context() -> RequestContext {
    RequestContext {
        id: RequestId::generate(SystemTime::now()),
        arrival: Instant::now(),
        wall: SystemTime::now(),
        method: Method::GET,
        uri: "/orders/7?page=2&sort=name".parse().expect("a target"),
        version: Version::HTTP_11,
        tls: None,
        named: Named::new(&Said { host: Some(b"shop.example.com"), user_agent: b"Mozilla/5.0 (X11; Linux x86_64)", ..Said::default() }),
        raw_query: None,
        client: [192, 0, 2, 1].into(),
        wanted: ClientPreferences::default(),
    }
}

/// Serves one request, as far as traces are concerned.
fn request(recorder: &Recorder, context: &RequestContext, headers: &mut HeaderList, tracer: Option<&Tracer>, facts: &mut Facts) {
    facts.trail.spans = tracer.and_then(|tracer| tracer.begin(trace_context::parent(headers)));
    if let Some(spans) = &facts.trail.spans {
        trace_context::set(headers, &spans.own);
        facts.tracer = tracer.cloned();
    }
    let endpoint = facts.trail.endpoint.clone().expect("an endpoint");
    if let Some(span) = facts.trail.attempt(&endpoint, context.arrival, false) {
        trace_context::set(headers, &span);
    }
    facts.trail.ended(context.arrival, context.arrival, AttemptEnd::Answered(200), false, false);
    recorder.record(black_box(context), black_box(facts));
}

#[divan::bench(args = ["off", "unsampled", "errors kept", "sampled"])]
fn request_of(bencher: Bencher<'_, '_>, what: &str) {
    let metrics = Arc::new(Metrics::new(1));
    let route = metrics.route("orders", "orders".into());
    let lines = LineSettings { access: Access::Off, level: Level::new(LogLevel::Error), ..LineSettings::default() };
    let sink = Sink::start(std::io::sink(), Arc::new(AtomicU64::new(0))).expect("a thread");
    let recorder = Recorder::new(0, Arc::clone(&metrics), Arc::clone(&route), lines, sink);
    let queue = Arc::new(Queue::new(TraceCounters::default()));
    let ratio = if what == "sampled" { 1.0 } else { 0.0 };
    let choice = Choice { sampler: Sampler::of_ratio(ratio), errors_always: what == "errors kept" };
    let tracer = (what != "off").then(|| Tracer::new(choice, Arc::clone(&queue)));
    let context = context();
    let parent = TraceParent { trace: 7, span: 7, flags: u8::from(what == "sampled") };
    let mut fresh = HeaderList::new();
    trace_context::set(&mut fresh, &parent);
    assert!(fresh.contains(names::TRACEPARENT));
    let mut facts =
        Facts { route: Some(route), dispatched: true, status: 200, received: Some(200), end: End::Complete, ..Facts::default() };
    facts.trail.endpoint = Some("http://10.0.0.11:8080".into());
    facts.ended = Some(context.arrival);
    let (mut headers, mut served) = (fresh.clone(), 0);
    bencher.bench_local(move || {
        request(&recorder, &context, &mut headers, tracer.as_ref(), &mut facts);
        served += 1;
        if served % QUEUED == 0 {
            queue.discard();
            headers = fresh.clone();
        }
    });
}
