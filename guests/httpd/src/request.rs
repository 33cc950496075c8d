//! Parses requests. Pure: reads no socket and no file.

/// The most bytes of request line and headers.
pub const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;

/// A request without its body.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    /// As sent, including the query.
    pub target: String,
    pub version: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// Parses a head that ends with an empty line; `None` if it is not valid (400).
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
            // A blank before the colon would allow request smuggling.
            if name.is_empty() || name.contains([' ', '\t']) || headers.len() == MAX_HEADERS {
                return None;
            }
            headers.push((name.to_string(), value.trim().to_string()));
        }
        let request = Request { method: method.into(), target: target.into(), version: version.into(), headers };
        let hosts = request.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("host")).count();
        (hosts == 1 || (hosts == 0 && version == "HTTP/1.0")).then_some(request)
    }

    /// Whether an incomplete head can still become a request. False for TLS, so that such a client, which waits for a
    /// response, gets one at once.
    pub fn may_become_request(head: &[u8]) -> bool {
        let method = head.iter().position(|b| *b == b' ').map_or(head, |end| &head[..end]);
        head == b"\r" || method.iter().all(u8::is_ascii_uppercase)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Whether the connection stays open for another request.
    pub fn keeps_alive(&self) -> bool {
        let wish = self.header("connection").unwrap_or_default().to_ascii_lowercase();
        let says = |word: &str| wish.split(',').any(|w| w.trim() == word);
        // Bodies are not read, so the connection can't be used after one.
        let body =
            self.header("transfer-encoding").is_some() || !matches!(self.header("content-length"), None | Some("0"));
        !body && if self.version == "HTTP/1.1" { !says("close") } else { says("keep-alive") }
    }

    /// Returns the path's decoded parts, and whether it ends with a slash; `None` if it is not valid or leads above the
    /// root.
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

    /// Returns `?query`, or nothing.
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

/// Percent-encodes the bytes that a URL must not contain.
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

/// Parses the value of `Range` for a file of this length. An `Err` is a range outside of the file (416). Several
/// ranges, and invalid ones, are ignored.
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
