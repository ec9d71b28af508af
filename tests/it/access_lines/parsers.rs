//! Strict readers of access lines, independent of the code that writes them.

/// A line of the combined format.
#[derive(Debug)]
pub struct Combined {
    pub client: String,
    pub identity: String,
    pub user: String,
    pub time: String,
    pub request: String,
    pub status: u16,
    pub bytes: Option<u64>,
    pub referer: String,
    pub user_agent: String,
    pub user_agent_bytes: Vec<u8>,
}

/// Reads a line of the combined format. Anything that Apache would not write is an error.
pub fn combined(line: &str) -> Result<Combined, String> {
    let wrong = |what: &str| format!("{what}: {line}");
    if !line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(wrong("a byte that is not printable ASCII"));
    }
    let mut rest = line;
    let mut word = |end: &str| {
        let (word, more) = rest.split_once(end).ok_or_else(|| wrong("a part is missing"))?;
        rest = more;
        Ok::<_, String>(word.to_owned())
    };
    let (client, identity, user) = (word(" ")?, word(" ")?, word(" [")?);
    let time = word("] ")?;
    let (request, rest) = quoted(rest).ok_or_else(|| wrong("no request"))?;
    let rest = rest.strip_prefix(' ').ok_or_else(|| wrong("no space"))?;
    let (numbers, rest) = rest.split_once(" \"").ok_or_else(|| wrong("no referrer"))?;
    let (status, bytes) = numbers.split_once(' ').ok_or_else(|| wrong("no size"))?;
    let bytes = match bytes {
        "-" => None,
        number => Some(number.parse::<u64>().ok().filter(|bytes| *bytes > 0).ok_or_else(|| wrong("no number"))?),
    };
    let rest = format!("\"{rest}");
    let (referer, rest) = quoted(&rest).ok_or_else(|| wrong("no referrer"))?;
    let (agent, rest) = rest.strip_prefix(' ').and_then(quoted).ok_or_else(|| wrong("no user agent"))?;
    if !rest.is_empty() || time.len() != "28/Nov/2026:09:30:00 +0000".len() || client.parse::<std::net::IpAddr>().is_err() {
        return Err(wrong("a part is not valid"));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Combined {
        client,
        identity,
        user,
        time,
        request: text(&request),
        status: status.parse().map_err(|_| wrong("no status"))?,
        bytes,
        referer: text(&referer),
        user_agent: text(&agent),
        user_agent_bytes: agent,
    })
}

/// Reads a quotation from the beginning of a text.
fn quoted(text: &str) -> Option<(Vec<u8>, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inner.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((unescaped(&inner[..end])?, &inner[end + 1..]))
}

/// The values of a line that are separated by a character. The last of `count` is the rest of the line.
pub fn fields(line: &str, separator: char, count: usize) -> Vec<Vec<u8>> {
    line.splitn(count, separator).map(|field| unescaped(field).unwrap_or_else(|| panic!("{field} in {line}"))).collect()
}

/// Undoes the escapes of Apache. `None` for one that it does not have.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, more @ ..] = rest {
        let (byte, more) = match (first, more) {
            (b'\\', [b'x', high, low, more @ ..]) => (u8::from_str_radix(std::str::from_utf8(&[*high, *low]).ok()?, 16).ok()?, more),
            (b'\\', [short, more @ ..]) => {
                let meant = b"\n\r\t\"\\".get(b"nrt\"\\".iter().position(|known| known == short)?)?;
                (*meant, more)
            }
            (b'\\', []) => return None,
            (byte, more) => (*byte, more),
        };
        out.push(byte);
        rest = more;
    }
    Some(out)
}
