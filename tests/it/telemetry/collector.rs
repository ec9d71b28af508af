//! A collector of traces on raw sockets, which keeps what it is sent and answers as it is told.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use prost::Message;

use super::proto::{ExportRequest, Span};
use crate::harness::origin::Conversation;
use crate::harness::{Origin, until};

pub struct Collector {
    origin: Origin,
    batches: Arc<Mutex<Vec<Batch>>>,
}

/// What came as one request.
#[derive(Clone)]
pub struct Batch {
    /// Its head.
    pub head: String,
    /// What it says.
    pub request: ExportRequest,
    /// The same before it was decoded.
    pub plain: Vec<u8>,
    /// The number of its connection.
    pub connection: usize,
}

/// An answer without a body.
pub fn says(status: u16, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: 0\r\n\r\n").into_bytes()
}

impl Collector {
    /// Takes everything.
    pub fn start() -> Self {
        Self::answers(vec![says(200, "")])
    }

    /// Gives these answers, one to each batch. The last is that to all further ones; an empty one is no answer.
    pub fn answers(answers: Vec<Vec<u8>>) -> Self {
        let batches: Arc<Mutex<Vec<Batch>>> = Arc::default();
        let kept = Arc::clone(&batches);
        let origin = Origin::start(move |conversation| {
            loop {
                let number = {
                    let batch = read(conversation);
                    let mut kept = kept.lock().unwrap();
                    kept.push(batch);
                    kept.len() - 1
                };
                let answer = answers.get(number).unwrap_or(answers.last().unwrap());
                if answer.is_empty() {
                    return conversation.hang();
                }
                if !conversation.write(answer) || !conversation.next_head() {
                    return;
                }
            }
        });
        Self { origin, batches }
    }

    pub fn address(&self) -> SocketAddr {
        self.origin.address
    }

    /// The table for a gateway that sends everything here.
    pub fn table(&self, more: &str) -> String {
        format!("[telemetry]\notlp = \"http://{}\"\n{more}", self.address())
    }

    pub fn batches(&self) -> Vec<Batch> {
        self.batches.lock().unwrap().clone()
    }

    /// Waits until so many spans came.
    pub fn spans(&self, count: usize) -> Vec<Span> {
        until(|| {
            let spans = self.now();
            if spans.len() >= count { Ok(spans) } else { Err(format!("{count} spans, but {spans:#?}")) }
        })
    }

    /// The spans that came by now.
    pub fn now(&self) -> Vec<Span> {
        let batches = self.batches();
        let all = batches.iter().flat_map(|batch| &batch.request.resource_spans).flat_map(|resource| &resource.scope_spans);
        all.flat_map(|scope| scope.spans.clone()).collect()
    }

    pub fn wait_for_batches(&self, count: usize) -> Vec<Batch> {
        until(|| {
            let batches = self.batches();
            if batches.len() >= count { Ok(batches) } else { Err(format!("{count} batches, but {}", batches.len())) }
        })
    }
}

fn read(conversation: &mut Conversation) -> Batch {
    let body = conversation.body();
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut plain).unwrap();
    let request = ExportRequest::decode(plain.as_slice()).unwrap();
    Batch { head: conversation.head.clone(), request, plain, connection: conversation.number }
}
