//! Names of the protocols of WebSockets (RFC 6455 11.3.4).
//!
//! Browsers cannot set other headers when they open a WebSocket, so that many clients send a token where the protocols are named. Only what
//! is known to be a name is one. Pure functions of a header's value.

/// The longest name, in bytes.
const MAX_NAME: usize = 64;
/// Words of the names that are registered at IANA or that common libraries use. A name may consist of several, with versions between them:
/// `graphql-transport-ws`, `v12.stomp`, `wamp.2.json`, `ocpp2.0.1`.
const WORDS: [&str; 55] = [
    "actioncable",
    "amqp",
    "azure",
    "base64",
    "batched",
    "bfcp",
    "binary",
    "cbor",
    "channel",
    "chat",
    "coap",
    "default",
    "graphql",
    "hmr",
    "http",
    "io",
    "jmap",
    "json",
    "jsonrpc",
    "k8s",
    "lws",
    "mbws",
    "mqtt",
    "mqttv",
    "msgpack",
    "msrp",
    "nats",
    "ocpp",
    "opcua",
    "portforward",
    "protobuf",
    "pubsub",
    "rdp",
    "rfb",
    "rpc",
    "sip",
    "smp",
    "soap",
    "stomp",
    "streaming",
    "subscriptions",
    "superchat",
    "text",
    "transport",
    "uacp",
    "unsupported",
    "vite",
    "vnc",
    "wamp",
    "webpubsub",
    "websocket",
    "ws",
    "wss",
    "xmpp",
    "yjs",
];

/// Returns true if a value of `Sec-WebSocket-Protocol` holds nothing but names of protocols that are known.
pub(super) fn are_protocols(value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    value.split(',').map(str::trim).all(|name| name.len() <= MAX_NAME && name.split(['.', '-', '_', '+', '/']).all(is_word_or_version))
}

/// Returns true for a word that is known with or without a version behind it, and for a version: `mqtt`, `mqttv3`, `v12`, `2`.
fn is_word_or_version(part: &str) -> bool {
    let part = part.to_ascii_lowercase();
    let is_known = |word: &str| WORDS.contains(&word);
    let word = part.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_short = part.len() - word.len() <= 2;
    is_known(&part) || is_short && (matches!(word, "" | "v") && word.len() < part.len() || is_known(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_known_are_names() {
        for name in [
            "chat, superchat",
            "graphql-ws",
            "graphql-transport-ws,graphql-ws",
            "mqtt",
            "mqttv3.1",
            "wamp.2.json",
            "wamp.2.msgpack.batched",
            "v10.stomp, v11.stomp, v12.stomp",
            "ocpp1.6, ocpp2.0.1",
            "actioncable-v1-json, actioncable-unsupported",
            "v4.channel.k8s.io",
            "json.webpubsub.azure.v1",
            "opcua+uacp",
        ] {
            assert!(are_protocols(name.as_bytes()), "{name}");
        }
        for token in
            ["abcdefgh", "secret", "chat, hunter", "base64url.bearer.authorization.k8s.io.c3cr", "v123", "0123456789", "", "chat.7654321"]
        {
            assert!(!are_protocols(token.as_bytes()), "{token}");
        }
        assert!(!are_protocols(b"chat\xff"));
    }
}
