//! The streams of a connection, as the frames of both sides show them, and the size of the header lists of those that are open.
//!
//! Knows nothing of what a header list says.

use std::collections::VecDeque;

/// Most streams that are remembered. h2 refuses those beyond its bound of open ones, and these are closed then.
const REMEMBERED: usize = 256;

/// What is known of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is to begin.
    New,
    /// The client may go on to send.
    Open,
    /// The client has ended it, and the gateway has not.
    HalfClosed,
    /// Both sides have ended it, or the client has reset it.
    Closed,
    /// The gateway has reset it; what the client sent before it knew means nothing.
    Reset,
    /// It was closed long ago, or it never began and now cannot.
    Forgotten,
}

#[derive(Debug)]
struct Stream {
    id: u32,
    known: Known,
    answered: bool,
    /// The size of its header list, until it is closed.
    held: usize,
}

/// The streams of a connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// In the order of their numbers.
    known: VecDeque<Stream>,
    highest: u32,
    held: usize,
}

impl Streams {
    fn find(&mut self, id: u32) -> Option<&mut Stream> {
        let place = self.known.binary_search_by_key(&id, |stream| stream.id).ok()?;
        self.known.get_mut(place)
    }

    /// Returns what is known of a stream.
    pub(super) fn get(&mut self, id: u32) -> Known {
        let highest = self.highest;
        match self.find(id) {
            Some(stream) => stream.known,
            None if id > highest => Known::New,
            None => Known::Forgotten,
        }
    }

    /// Returns the size of the header lists of all open streams.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Records a new stream. Returns false if too many are open.
    pub(super) fn begin(&mut self, id: u32, held: usize) -> bool {
        if self.known.len() >= REMEMBERED {
            let Some(place) = self.known.iter().position(|stream| matches!(stream.known, Known::Closed | Known::Reset)) else {
                return false;
            };
            self.known.remove(place);
        }
        self.highest = id;
        self.held += held;
        self.known.push_back(Stream { id, known: Known::Open, answered: false, held });
        true
    }

    /// Records that the client has ended a stream.
    pub(super) fn client_ended(&mut self, id: u32) {
        if let Some(stream) = self.find(id)
            && stream.known == Known::Open
        {
            stream.known = Known::HalfClosed;
            self.close_if_answered(id);
        }
    }

    /// Records that the client has reset a stream.
    pub(super) fn client_reset(&mut self, id: u32) {
        self.close(id, Known::Closed);
    }

    /// Records that the gateway has reset a stream.
    pub(super) fn gateway_reset(&mut self, id: u32) {
        self.close(id, Known::Reset);
    }

    /// Records that the gateway has ended a stream.
    pub(super) fn gateway_ended(&mut self, id: u32) {
        if let Some(stream) = self.find(id) {
            stream.answered = true;
            self.close_if_answered(id);
        }
    }

    fn close_if_answered(&mut self, id: u32) {
        if self.find(id).is_some_and(|stream| stream.answered && stream.known == Known::HalfClosed) {
            self.close(id, Known::Closed);
        }
    }

    fn close(&mut self, id: u32, known: Known) {
        if let Some(stream) = self.find(id)
            && !matches!(stream.known, Known::Closed | Known::Reset)
        {
            stream.known = known;
            let held = std::mem::take(&mut stream.held);
            self.held -= held;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_closed_once_both_sides_have_ended_it() {
        let mut streams = Streams::default();
        assert_eq!(streams.get(1), Known::New);
        assert!(streams.begin(1, 10) && streams.begin(5, 7));
        assert_eq!((streams.get(1), streams.get(3), streams.get(7), streams.held()), (Known::Open, Known::Forgotten, Known::New, 17));
        streams.client_ended(1);
        assert_eq!((streams.get(1), streams.held()), (Known::HalfClosed, 17));
        streams.gateway_ended(1);
        assert_eq!((streams.get(1), streams.held()), (Known::Closed, 7));
        streams.gateway_ended(5);
        assert_eq!(streams.get(5), Known::Open);
        streams.client_ended(5);
        assert_eq!((streams.get(5), streams.held()), (Known::Closed, 0));
    }

    #[test]
    fn who_resets_a_stream_is_remembered() {
        let mut streams = Streams::default();
        assert!(streams.begin(1, 10) && streams.begin(3, 10));
        streams.client_reset(1);
        streams.gateway_reset(3);
        streams.client_ended(3);
        assert_eq!((streams.get(1), streams.get(3), streams.held()), (Known::Closed, Known::Reset, 0));
    }

    #[test]
    fn few_streams_are_remembered() {
        let mut streams = Streams::default();
        for n in 0..1_000 {
            assert!(streams.begin(2 * n + 1, 1));
            streams.client_reset(2 * n + 1);
        }
        assert_eq!((streams.known.len(), streams.get(1), streams.held()), (REMEMBERED, Known::Forgotten, 0));
        assert!((1_000..2_000).any(|n| !streams.begin(2 * n + 1, 1)), "no more than these are open");
    }
}
