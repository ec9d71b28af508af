//! Compares what clients say in HTTP/2 with what a strict reader of HTTP/1.1 finds behind the gateway: nothing that it would refuse, and no
//! request that nobody made.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::wire::{DATA, END_HEADERS, END_STREAM, End, HEADERS, Wire, frame, literal};
use crate::harness::{GatewayUnderTest, PATIENCE};

/// Cases of one run. `H2_CASES` names another number.
const CASES: u32 = 3_000;
/// Streams that are sent at once.
const BATCH: u32 = 20;

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Reads a line that ends with CRLF and has no other control character.
fn line(reader: &mut BufReader<TcpStream>) -> Result<String, String> {
    let mut bytes = Vec::new();
    reader.read_until(b'\n', &mut bytes).map_err(|error| error.to_string())?;
    let line = bytes.strip_suffix(b"\r\n").ok_or_else(|| format!("a line without CRLF: {bytes:?}"))?;
    if line.iter().any(|b| *b < b' ' && *b != b'\t' || *b == 0x7f) {
        return Err(format!("a control character: {line:?}"));
    }
    Ok(String::from_utf8_lossy(line).into_owned())
}

fn fields(reader: &mut BufReader<TcpStream>) -> Result<Vec<(String, String)>, String> {
    let mut fields = Vec::new();
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').filter(|(name, _)| is_token(name)).ok_or_else(|| format!("no field: {line:?}"))?;
        fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
    }
}

/// Reads one request. Returns its target, or `None` at the end of the connection.
fn request(reader: &mut BufReader<TcpStream>) -> Result<Option<String>, String> {
    if reader.fill_buf().map_or(true, <[u8]>::is_empty) {
        return Ok(None);
    }
    let first = line(reader)?;
    let parts: Vec<&str> = first.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else { return Err(format!("no request line: {first:?}")) };
    if !is_token(method) || !target.starts_with('/') && target != "*" || !target.bytes().all(|b| b > b' ' && b != 0x7f) {
        return Err(format!("no request line: {first:?}"));
    }
    let fields = fields(reader)?;
    let all = |wanted: &str| fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
    match &all("host")[..] {
        [host] if !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && !b"/@?#,".contains(&b)) => {}
        hosts => return Err(format!("hosts {hosts:?}")),
    }
    match (&all("transfer-encoding")[..], &all("content-length")[..]) {
        ([], []) => {}
        (["chunked"], []) => chunks(reader)?,
        ([], [length]) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            skip(reader, length.parse().map_err(|_| format!("length {length}"))?)?;
        }
        framing => return Err(format!("framing {framing:?}")),
    }
    Ok(Some(target.to_owned()))
}

fn skip(reader: &mut BufReader<TcpStream>, length: u64) -> Result<(), String> {
    // A client that gives up in its body ends the connection: that is an abort and no request.
    std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).map(drop).map_err(|error| error.to_string())
}

fn chunks(reader: &mut BufReader<TcpStream>) -> Result<(), String> {
    loop {
        if reader.fill_buf().map_or(true, <[u8]>::is_empty) {
            return Ok(());
        }
        let size = line(reader)?;
        let length = u64::from_str_radix(&size, 16).map_err(|_| format!("chunk size {size:?}"))?;
        if length == 0 {
            return fields(reader).map(drop);
        }
        skip(reader, length)?;
        if reader.fill_buf().is_ok_and(|rest| !rest.is_empty()) && !line(reader)?.is_empty() {
            return Err("no CRLF behind a chunk".to_owned());
        }
    }
}

/// What the origin read: the targets of requests, and what a strict reader refuses.
type Seen = Arc<Mutex<(Vec<String>, Vec<String>)>>;

fn strict_origin() -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let all = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = Arc::clone(&all);
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                loop {
                    match request(&mut reader) {
                        Ok(Some(target)) => seen.lock().unwrap().0.push(target),
                        Ok(None) => return,
                        Err(unclean) => return seen.lock().unwrap().1.push(unclean),
                    }
                    if reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, seen)
}

fn any<'a>(random: &mut fastrand::Rng, texts: &[&'a str]) -> &'a str {
    texts[random.usize(..texts.len())]
}

const NAMES: &[&str] = &[
    "x",
    "x-a",
    "host",
    "cookie",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "trailer",
    "expect",
    "upgrade",
    "\"x\"",
    "x y",
    "X-Upper",
    "x:",
    "",
    ":path",
    ":x",
    "x\r\ny",
    "\"transfer-encoding\"",
    "transfer_encoding",
    "keep-alive",
    "proxy-connection",
    "content-length ",
    "x\0",
    "\u{e9}",
    "via",
    "forwarded",
    "accept-encoding",
    "range",
    "http2-settings",
];
const VALUES: &[&str] = &[
    "",
    "v",
    "0",
    "5",
    "05",
    "+5",
    "-1",
    "5,5",
    "5, 6",
    "0x5",
    "18446744073709551616",
    "chunked",
    "chunked, chunked",
    "identity",
    "gzip",
    "trailers",
    "close",
    "a",
    "b",
    "a:80",
    "a b",
    "a,b",
    " v",
    "v ",
    "\tv",
    "a\r\nx: y",
    "a\nb",
    "a\rb",
    "a\0b",
    "\u{7f}",
    "\u{e9}",
    "100-continue",
    "x\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "websocket",
    "h2c",
];
const METHODS: &[&str] =
    &["GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "CONNECT", "TRACE", "get", "A B", "", "PRI", "X\r\nY", "M-SEARCH"];
const PATHS: &[&str] = &[
    "",
    "x",
    "?a=b",
    "x y",
    "x\r\nHost: b",
    "../x",
    "%2e%2e/x",
    "//x",
    "x#y",
    "*",
    "\u{e9}",
    "x\0",
    "x HTTP/1.1\r\n\r\nGET /smuggled",
    "%00",
    "\t",
    "x?a b",
    "\\x",
    ";a",
];
const AUTHORITIES: &[&str] = &["a", "a:80", "b", "", "a b", "a@b", "a,b", "a/b", "a\r\nX: y", "[::1]", "a:x", "*"];

/// The frames of one request, whose target begins with `/` and its number unless the case is about that.
fn case(random: &mut fastrand::Rng, stream: u32, number: u32) -> Vec<u8> {
    let mut lines: Vec<(String, String)> = vec![
        (":method".into(), if random.u8(..3) == 0 { any(random, METHODS) } else { any(random, &["GET", "POST"]) }.into()),
        (":scheme".into(), any(random, &["http", "http", "http", "https", "", "h\r\nx"]).into()),
        (":path".into(), format!("/{number}/{}", if random.bool() { any(random, PATHS) } else { "" })),
        (":authority".into(), if random.bool() { any(random, AUTHORITIES) } else { "a" }.into()),
    ];
    for _ in 0..random.u8(..4) {
        let place = if random.u8(..10) == 0 { random.usize(..=lines.len()) } else { lines.len() };
        lines.insert(place, (any(random, NAMES).into(), any(random, VALUES).into()));
    }
    if random.u8(..10) == 0 {
        lines.remove(random.usize(..lines.len()));
    }
    let block =
        |lines: &[(String, String)]| lines.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes())).collect::<Vec<u8>>();
    let body = any(random, &["", "", "hello", "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"]);
    let has_trailers = random.u8(..8) == 0;
    let end = |last: bool| if last { END_STREAM } else { 0 };
    let mut frames = frame(HEADERS, END_HEADERS | end(body.is_empty() && !has_trailers), stream, &block(&lines));
    if !body.is_empty() {
        frames.extend(frame(DATA, end(!has_trailers), stream, body.as_bytes()));
    }
    if has_trailers {
        let trailers = [(any(random, NAMES).to_owned(), any(random, VALUES).to_owned())];
        frames.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&trailers)));
    }
    frames
}

#[test]
fn an_upstream_reads_nothing_that_a_strict_reader_refuses() {
    let cases = std::env::var("H2_CASES").ok().and_then(|number| number.parse().ok()).unwrap_or(CASES);
    let (address, seen) = strict_origin();
    let gateway = GatewayUnderTest::in_front_of(address, "");
    let mut random = fastrand::Rng::with_seed(9113);
    let (mut number, mut ended) = (0, [0usize; 2]);
    while number < cases {
        let mut client = Wire::connect(&gateway);
        // h2 ends a connection that provokes many resets.
        for batch in 0..5 {
            let streams: Vec<u32> = (0..BATCH).map(|n| 2 * (batch * BATCH + n) + 1).collect();
            client.send(streams.iter().zip(number..).flat_map(|(stream, number)| case(&mut random, *stream, number)).collect::<Vec<u8>>());
            number += BATCH;
            let mut open = streams.len();
            while open > 0 {
                match client.next_end() {
                    (0, end) => panic!("the connection ended with {end:?} before {number}"),
                    (_, End::Answer(_)) => ended[0] += 1,
                    (_, End::Reset(0)) => continue,
                    (_, End::Reset(_) | End::GoAway(_) | End::Closed) => ended[1] += 1,
                }
                open -= 1;
            }
        }
    }
    let (targets, unclean) = &*seen.lock().unwrap();
    assert!(unclean.is_empty(), "{} unclean of {number}, the first: {:?}", unclean.len(), &unclean[..unclean.len().min(5)]);
    let foreign = targets.iter().find(|target| target.split('/').nth(1).is_none_or(|part| part.parse::<u32>().is_err()));
    assert_eq!(foreign, None);
    assert!(targets.len() > number as usize / 20, "{} of {number} reach the upstream: the cases have no teeth", targets.len());
    assert!(ended[0] > 0 && ended[1] > 0, "{ended:?}");
}
