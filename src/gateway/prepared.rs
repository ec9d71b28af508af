//! An upstream's response whose head was cleaned and whose body was not read yet.

use http::StatusCode;

use super::outcome::{Content, ErrorOutcome, Passed, Watch};
use crate::body::Incoming as _;
use crate::context::Dialect;
use crate::header::HeaderList;
use crate::relay::{self, BodyClocks, Prefix};
use crate::upstream::attempt::response::ResponseBody;

/// The most bytes that the buffer of an upstream's connection keeps beside a body that is read into memory (two reads).
const READ_BUFFER: usize = 32 * 1024;

/// An upstream's response whose head is clean.
pub(super) struct Prepared {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderList,
    pub(super) body: ResponseBody,
    pub(super) clocks: BodyClocks,
    /// The protocol of the body.
    pub(super) dialect: Option<Dialect>,
}

impl Prepared {
    /// Bytes that are held when at most `most` of its body are read: those, and the buffer through which they came.
    pub(super) fn holds(&self, most: usize) -> usize {
        let length = self.body.size_hint().exact().map_or(most, |length| most.min(length as usize));
        length + length.min(READ_BUFFER)
    }

    /// Reads what is there already, so that a body that is broken from its first byte on is an error and no abort.
    pub(super) async fn begin(mut self) -> Result<Passed, ErrorOutcome> {
        let prefix = relay::begin(&mut self.body).await?;
        Ok(self.stream_after(prefix))
    }

    pub(super) fn stream(self) -> Passed {
        self.stream_after(Prefix::default())
    }

    pub(super) fn stream_after(self, prefix: Prefix) -> Passed {
        Passed {
            status: self.status,
            headers: self.headers,
            content: Content::Stream { prefix, body: self.body, clocks: self.clocks, watch: Watch::Nothing },
        }
    }
}
