//! Builds curl's requests.

use super::super::http::{Request, Url, basic_authorization, is_named};
use super::arguments::RequestOptions;

/// What the first request of a transfer carries.
#[derive(Clone)]
pub struct Content {
    pub method: String,
    pub body: Option<Vec<u8>>,
    /// Whether the body is a form's.
    pub is_form: bool,
}

impl Content {
    /// Returns what follows a redirection with this status, as browsers do it: without a body after 301 to 303.
    pub fn after_redirect(&self, status: u16, custom_method: bool) -> Content {
        let stays = custom_method || self.method == "HEAD" || self.method == "GET";
        match status {
            301..=303 if self.body.is_some() || !stays => {
                Content { method: if stays { self.method.clone() } else { "GET".into() }, body: None, is_form: false }
            }
            _ => self.clone(),
        }
    }
}

/// Builds a request; `credentials` are those that the host may see.
pub fn build(url: &Url, options: &RequestOptions, content: &Content, credentials: Option<&str>) -> Request {
    let given = |name: &str| options.headers.iter().any(|header| is_named(header, name));
    let mut headers = Vec::new();
    if !given("host") {
        headers.push(format!("Host: {}", url.authority()));
    }
    if !given("authorization") {
        headers.extend(credentials.map(basic_authorization));
    }
    let agent = options.user_agent.as_deref().unwrap_or("curl/8.0.0");
    if !given("user-agent") && !agent.is_empty() {
        headers.push(format!("User-Agent: {agent}"));
    }
    if !given("accept") {
        headers.push("Accept: */*".into());
    }
    if let Some(referer) = &options.referer {
        headers.push(format!("Referer: {referer}"));
    }
    if !options.cookies.is_empty() {
        headers.push(format!("Cookie: {}", options.cookies.join("; ")));
    }
    headers.extend(options.headers.iter().filter_map(|header| custom_header(header)));
    if content.is_form && !given("content-type") {
        headers.push("Content-Type: application/x-www-form-urlencoded".into());
    }
    Request { method: content.method.clone(), headers, body: content.body.clone() }
}

/// Returns the line of a `-H`: `Name:` removes a header, `Name;` sends it empty.
fn custom_header(header: &str) -> Option<String> {
    match header.split_once(':') {
        Some((_, value)) if value.trim().is_empty() => None,
        Some(_) => Some(header.to_string()),
        None => header.strip_suffix(';').map(|name| format!("{name}:")),
    }
}

/// Encodes text for a query.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(options: &RequestOptions, content: &Content, credentials: Option<&str>) -> String {
        let url = Url::parse("http://h:81/p?q").expect("a valid URL");
        build(&url, options, content, credentials).head(&url)
    }

    #[test]
    fn headers_can_be_replaced_and_removed() {
        let get = Content { method: "GET".into(), body: None, is_form: false };
        let plain = head(&RequestOptions::default(), &get, None);
        assert_eq!(plain, "GET /p?q HTTP/1.1\r\nHost: h:81\r\nUser-Agent: curl/8.0.0\r\nAccept: */*\r\n\r\n");
        let headers = ["Host: x", "User-Agent:", "X-Empty;", "A: b"].map(str::to_string).to_vec();
        let options = RequestOptions { headers, ..RequestOptions::default() };
        assert_eq!(
            head(&options, &get, None),
            "GET /p?q HTTP/1.1\r\nAccept: */*\r\nHost: x\r\nX-Empty:\r\nA: b\r\n\r\n"
        );
        assert!(head(&RequestOptions::default(), &get, Some("u:p")).contains("Authorization: Basic dTpw\r\n"));
    }

    #[test]
    fn redirections_drop_the_body_after_301_to_303() {
        let post = Content { method: "POST".into(), body: Some(b"x".to_vec()), is_form: true };
        let after = |status| {
            let content = post.after_redirect(status, false);
            (content.method, content.body.is_some())
        };
        assert_eq!(after(302), ("GET".into(), false));
        assert_eq!(after(303), ("GET".into(), false));
        assert_eq!(after(307), ("POST".into(), true));
        assert_eq!(post.after_redirect(301, true).method, "POST");
    }

    #[test]
    fn text_is_encoded_for_queries() {
        assert_eq!(percent_encode("a b&c=é"), "a%20b%26c%3D%C3%A9");
    }
}
