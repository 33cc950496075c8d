//! `-w`: what is printed after a transfer.

use std::time::Duration;

use super::super::http::Response;

/// What is known after a transfer.
#[derive(Default)]
pub struct Summary {
    pub url: String,
    pub method: String,
    pub response: Option<Response>,
    pub redirect_url: String,
    pub redirects: usize,
    pub remote_ip: String,
    pub remote_port: u16,
    pub downloaded: u64,
    pub uploaded: u64,
    pub head_size: usize,
    pub file: String,
    pub exit_code: i32,
    pub error: String,
    pub times: Times,
}

/// Spans since the beginning of the transfer.
#[derive(Default)]
pub struct Times {
    pub connected: Duration,
    pub first_byte: Duration,
    pub total: Duration,
}

impl Summary {
    /// Returns the text of `format`: `%{variable}`, `%header{name}`, `%%` and the escapes of C.
    pub fn format(&self, format: &str) -> String {
        let mut out = String::new();
        let mut rest = format;
        while let Some(at) = rest.find(['%', '\\']) {
            out += &rest[..at];
            let behind = &rest[at + 1..];
            if rest[at..].starts_with('\\') {
                let escape = behind.chars().next();
                match escape {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some(other) => out.extend(['\\', other]),
                    None => out.push('\\'),
                }
                rest = &behind[escape.map_or(0, char::len_utf8)..];
            } else if let Some(behind) = behind.strip_prefix('%') {
                out.push('%');
                rest = behind;
            } else if let Some((name, behind)) = behind.strip_prefix('{').and_then(|text| text.split_once('}')) {
                out += &self.variable(name);
                rest = behind;
            } else if let Some((name, behind)) = behind.strip_prefix("header{").and_then(|text| text.split_once('}')) {
                out += self.response.as_ref().and_then(|response| response.header(name)).unwrap_or_default();
                rest = behind;
            } else {
                out.push('%');
                rest = behind;
            }
        }
        out + rest
    }

    /// Returns the value of a variable; those that are not known are empty.
    fn variable(&self, name: &str) -> String {
        let seconds = |span: Duration| format!("{:.6}", span.as_secs_f64());
        let total = self.times.total.as_secs_f64().max(1e-6);
        match name {
            "http_code" | "response_code" => format!("{:03}", self.response.as_ref().map_or(0, |r| r.status)),
            "http_version" => {
                let line = self.response.as_ref().map_or("", |r| r.first_line.as_str());
                let version = line.split_whitespace().next().and_then(|word| word.strip_prefix("HTTP/"));
                version.unwrap_or("0").into()
            }
            "content_type" => self.response.as_ref().and_then(|r| r.header("content-type")).unwrap_or_default().into(),
            "url" | "url_effective" => self.url.clone(),
            "method" => self.method.clone(),
            "scheme" => "http".into(),
            "redirect_url" => self.redirect_url.clone(),
            "num_redirects" => self.redirects.to_string(),
            "num_connects" => (self.redirects + usize::from(!self.remote_ip.is_empty())).to_string(),
            "num_headers" => self.response.as_ref().map_or(0, |r| r.lines.len()).to_string(),
            "remote_ip" => self.remote_ip.clone(),
            "remote_port" => self.remote_port.to_string(),
            "size_download" => self.downloaded.to_string(),
            "size_upload" => self.uploaded.to_string(),
            "size_header" => self.head_size.to_string(),
            "speed_download" => format!("{:.0}", self.downloaded as f64 / total),
            "speed_upload" => format!("{:.0}", self.uploaded as f64 / total),
            "filename_effective" => self.file.clone(),
            "time_namelookup" | "time_connect" => seconds(self.times.connected),
            "time_appconnect" | "time_redirect" => "0.000000".into(),
            "time_pretransfer" => seconds(self.times.connected),
            "time_starttransfer" => seconds(self.times.first_byte),
            "time_total" => seconds(self.times.total),
            "exitcode" => self.exit_code.to_string(),
            "errormsg" => self.error.clone(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_escapes_are_expanded() {
        let summary = Summary {
            response: Some(Response {
                status: 404,
                first_line: "HTTP/1.1 404 Not Found".into(),
                lines: vec!["Content-Type: text/plain".into()],
            }),
            downloaded: 12,
            ..Summary::default()
        };
        for (format, expected) in [
            ("%{http_code}\\n", "404\n"),
            ("%{size_download}%% %{content_type}", "12% text/plain"),
            ("%header{content-type}|%{nope}|%{http_version}", "text/plain||1.1"),
            ("100% \\x", "100% \\x"),
            ("%{time_total}", "0.000000"),
        ] {
            assert_eq!(summary.format(format), expected);
        }
        assert_eq!(Summary::default().format("%{http_code}"), "000");
    }
}
