//! The faults that a case can give its upstream, by the words of the failure catalog, and a few more where one row has several causes.
//!
//! Knows no sockets and no clocks.

use crate::failure::Kind;

/// What is wrong with an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Fault {
    /// No connection is opened.
    Connect(Kind, &'static str),
    /// The request is read, and nothing comes back until a clock of the gateway elapses.
    Silent(Kind),
    /// The connection is closed before a response.
    Closed,
    /// The connection is reset before a response.
    Reset,
    /// The connection is closed within the response head.
    CutHead,
    /// What comes back is no HTTP.
    Garbage,
    /// The response has a transfer coding that is not known.
    UnknownCoding,
    /// The header section of the response is too large.
    LargeHead,
    /// One header of the response is too large.
    LargeHeader,
    /// The response is cut within its body by a close.
    CutBody,
    /// The response is cut within its body by a reset.
    ResetBody,
    /// No more of the body comes until a clock of the gateway elapses.
    StalledBody,
    /// The body has a chunk without a valid size.
    InvalidChunk,
    /// Every endpoint is unhealthy.
    Unavailable,
    /// The gateway is shutting down.
    ShuttingDown,
}

impl Fault {
    /// Returns true if the response head of the case is sent before the fault.
    pub(in crate::cli) const fn has_head(self) -> bool {
        match self {
            Self::LargeHeader | Self::CutBody | Self::ResetBody | Self::StalledBody | Self::InvalidChunk => true,
            Self::Connect(..)
            | Self::Silent(_)
            | Self::Closed
            | Self::Reset
            | Self::CutHead
            | Self::Garbage
            | Self::UnknownCoding
            | Self::LargeHead
            | Self::Unavailable
            | Self::ShuttingDown => false,
        }
    }
}

/// A fault by its word, with what happens.
pub(in crate::cli) struct Word {
    pub(in crate::cli) word: &'static str,
    pub(in crate::cli) fault: Fault,
    pub(in crate::cli) about: &'static str,
}

const fn word(word: &'static str, fault: Fault, about: &'static str) -> Word {
    Word { word, fault, about }
}

const fn connect(name: &'static str, kind: Kind, about: &'static str) -> Word {
    word(name, Fault::Connect(kind, about), about)
}

/// All faults. The first words are reasons of the catalog (`lockgate errors`).
pub(in crate::cli) const FAULTS: [Word; 29] = [
    connect("dns_error", Kind::DnsError, "the name does not resolve"),
    connect("dns_timeout", Kind::DnsTimeout, "resolving the name takes too long"),
    connect("destination_ip_unroutable", Kind::Unroutable, "there is no route to the host"),
    connect("destination_ip_prohibited", Kind::Prohibited, "connections to the address are not permitted"),
    connect("connection_refused", Kind::ConnectionRefused, "the connection is refused"),
    connect("connection_timeout", Kind::ConnectTimeout, "connecting takes longer than connect_timeout"),
    connect("tls_protocol_error", Kind::TlsProtocol, "the TLS handshake fails"),
    connect("tls_certificate_error", Kind::TlsCertificate, "the certificate is not valid"),
    connect("tls_certificate_expired", Kind::TlsCertificate, "the certificate has expired"),
    connect("tls_alert_received", Kind::TlsAlert, "the upstream ends the handshake with an alert"),
    connect("connection_limit_reached", Kind::Overloaded, "no connection to the endpoint becomes free"),
    connect("stream_refused", Kind::StreamRefused, "the upstream refuses the request (HTTP/2)"),
    connect("proxy_internal_error", Kind::Internal, "the gateway has an internal error"),
    word("connection_terminated", Fault::Closed, "the connection is closed before a response"),
    word("connection_reset", Fault::Reset, "the connection is reset before a response"),
    word("http_response_incomplete", Fault::CutHead, "the connection is closed within the response head"),
    word("http_protocol_error", Fault::Garbage, "the response is no HTTP"),
    word("http_response_transfer_coding", Fault::UnknownCoding, "the response has an unknown transfer coding"),
    word("http_response_header_section_size", Fault::LargeHead, "the response head is too large"),
    word("http_response_header_size", Fault::LargeHeader, "one response header is too large"),
    word("connection_read_timeout", Fault::Silent(Kind::ResponseTimeout), "no response within response_timeout"),
    word("http_response_timeout", Fault::Silent(Kind::TotalTimeout), "no response within total_timeout"),
    word("connection_write_timeout", Fault::Silent(Kind::UploadTimeout), "the request body is not read in time"),
    word("cut_body", Fault::CutBody, "the connection is closed within the body"),
    word("reset_body", Fault::ResetBody, "the connection is reset within the body"),
    word("stalled_body", Fault::StalledBody, "no more of the body comes within idle_timeout"),
    word("invalid_chunk", Fault::InvalidChunk, "the body has a chunk that is not valid"),
    word("destination_unavailable", Fault::Unavailable, "every endpoint is unhealthy"),
    word("shutting_down", Fault::ShuttingDown, "the gateway is shutting down"),
];
