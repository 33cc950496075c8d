//! Requests: from bytes to what a client asks for. Pure; reads no socket and no file.

/// Request line and headers together may be this long.
pub const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 100;

/// A request without its body.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    /// As sent, query included.
    pub target: String,
    pub version: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// Reads a head that ends with an empty line. `None`: it breaks the rules (400).
    pub fn parse(head: &[u8]) -> Option<Request> {
        let text = std::str::from_utf8(head).ok()?;
        let mut lines = text.split("\r\n").flat_map(|l| l.split('\n'));
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let proper = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
        if !proper || words.next().is_some() || !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
            return None;
        }
        let mut headers = Vec::new();
        for line in lines.take_while(|l| !l.is_empty()) {
            let (name, value) = line.split_once(':')?;
            // A blank before the colon is how requests are smuggled.
            if name.is_empty() || name.contains([' ', '\t']) || headers.len() == MOST_HEADERS {
                return None;
            }
            headers.push((name.to_string(), value.trim().to_string()));
        }
        let request = Request { method: method.into(), target: target.into(), version: version.into(), headers };
        let hosts = request.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("host")).count();
        (hosts == 1 || (hosts == 0 && version == "HTTP/1.0")).then_some(request)
    }

    /// Whether a head of which only this much has come may become a request. Who speaks TLS is told at
    /// once that nobody here does: such a client waits for an answer before it goes on.
    pub fn may_begin(head: &[u8]) -> bool {
        let method = head.iter().position(|b| *b == b' ').map_or(head, |end| &head[..end]);
        head == b"\r" || method.iter().all(u8::is_ascii_uppercase)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Whether the client wants the connection kept.
    pub fn keeps_alive(&self) -> bool {
        let wish = self.header("connection").unwrap_or_default().to_ascii_lowercase();
        let says = |word: &str| wish.split(',').any(|w| w.trim() == word);
        // What a body holds is not read: behind it the connection can't be used again.
        let body =
            self.header("transfer-encoding").is_some() || !matches!(self.header("content-length"), None | Some("0"));
        !body && if self.version == "HTTP/1.1" { !says("close") } else { says("keep-alive") }
    }

    /// The path's decoded parts, and whether it ends with a slash. `None`: it breaks the rules or
    /// climbs above the root.
    pub fn path(&self) -> Option<(Vec<String>, bool)> {
        let target = match self.target.strip_prefix("http://") {
            Some(absolute) => absolute.find('/').map_or("/", |at| &absolute[at..]),
            None => &self.target,
        };
        let encoded = target.split(['?', '#']).next()?;
        if !encoded.starts_with('/') {
            return None;
        }
        let path = decode(encoded)?;
        let mut parts: Vec<String> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part.to_string()),
            }
        }
        let slash = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
        Some((parts, slash))
    }

    /// What stands behind the path: `?query`, or nothing.
    pub fn query(&self) -> &str {
        self.target.find('?').map_or("", |at| &self.target[at..])
    }
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || (bytes.next()? as char).to_digit(16);
        let value = (digit()? * 16 + digit()?) as u8;
        if value == 0 {
            return None;
        }
        out.push(value);
    }
    String::from_utf8(out).ok()
}

/// Percent-encodes what may not stand in a URL.
pub fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte) {
            out.push(byte as char);
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

/// The one range that `bytes=...` asks for, in a file of this length. `Err`: no part of it exists
/// (416). Several ranges, and what is no range, count as none.
pub fn range(value: &str, length: u64) -> Result<Option<(u64, u64)>, ()> {
    let Some(spec) = value.strip_prefix("bytes=") else { return Ok(None) };
    let Some((from, to)) = spec.trim().split_once('-') else { return Ok(None) };
    let bounds = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => (from, to.saturating_add(1).min(length)),
        (Ok(from), Err(_)) if to.is_empty() => (from, length),
        (Err(_), Ok(last)) if from.is_empty() => (length.saturating_sub(last), length),
        _ => return Ok(None),
    };
    if bounds.0 >= bounds.1 { Err(()) } else { Ok(Some(bounds)) }
}
