//! curl for `http://` addresses: its common options, messages and exit codes.

mod arguments;
mod error;
mod request;
mod write_out;

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use arguments::{Arguments, Data, Destination};
use error::{CurlError, connect_error, is_transient_status};
use request::{Content, build, percent_encode};
use write_out::Summary;

use super::http::{Connection, HttpError, Response, Url};
use super::names::base_name;
use super::sleep::{wait, within};
use super::{EarlyExit, Outcome, fail};
use crate::proc::{Proc, Writer, strerror};

const MAX_REDIRECTS: usize = 50;

/// The longest wait for a connection, as curl has it.
const CONNECT_SECONDS: f64 = 300.0;

pub async fn curl(p: Proc) -> Outcome {
    let arguments = p.args.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("-V" | "--version") => {
            p.stdout.write_all(b"curl 8.0.0 (wasm32-wasi) wasmpod\nProtocols: http\n").await?;
            return Ok(0);
        }
        Some("-h" | "--help") => {
            p.stdout.write_all(b"Usage: curl [options...] <url>\n").await?;
            return Ok(0);
        }
        _ => {}
    }
    let arguments = match Arguments::parse(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            p.print_error(&error).await;
            return fail(&p, 2, "try 'curl --help' for more information").await;
        }
    };
    let content = read_content(&p, &arguments).await?;
    let mut code = 0;
    for (index, url) in arguments.urls.iter().enumerate() {
        let destination = arguments.output.destinations.get(index).cloned();
        let job = Job { p: &p, arguments: &arguments, content: &content, destination };
        code = job.run(url).await?;
    }
    Ok(code)
}

/// Reads the data of the request.
async fn read_content(p: &Proc, arguments: &Arguments) -> Result<Content, EarlyExit> {
    let options = &arguments.request;
    let mut body = None;
    for data in &options.data {
        let bytes = match data {
            Data::Text(text) => text.clone().into_bytes(),
            Data::Encoded { prefix, text } => [prefix.as_str(), &percent_encode(text)].concat().into_bytes(),
            Data::File { name, without_lines } => {
                let mut bytes = read_file(p, name).await?;
                if *without_lines {
                    bytes.retain(|byte| !matches!(byte, b'\n' | b'\r' | 0));
                }
                bytes
            }
        };
        let body = body.get_or_insert_with(Vec::new);
        if !body.is_empty() {
            body.push(b'&');
        }
        body.extend(bytes);
    }
    let mut is_form = body.is_some();
    let mut method = if arguments.output.only_head {
        "HEAD"
    } else if body.is_some() && !options.data_in_query {
        "POST"
    } else {
        "GET"
    };
    if let Some(file) = &options.upload {
        body = Some(read_file(p, file).await?);
        (is_form, method) = (false, "PUT");
    }
    let method = options.method.clone().unwrap_or_else(|| method.into());
    Ok(Content { method, body, is_form })
}

async fn read_file(p: &Proc, name: &str) -> Result<Vec<u8>, EarlyExit> {
    let bytes = match p.open(name) {
        Ok(reader) => reader.read_to_end().await,
        Err(error) => Err(error),
    };
    match bytes {
        Ok(bytes) => Ok(bytes),
        Err(error) => fail(p, 26, &format!("(26) Failed to open {name}: {}", strerror(&error))).await,
    }
}

/// The transfer of one URL.
struct Job<'a> {
    p: &'a Proc,
    arguments: &'a Arguments,
    content: &'a Content,
    destination: Option<Destination>,
}

/// A transfer under way.
struct Attempt {
    summary: Summary,
    begun: Instant,
    /// Bytes received, for the message of a time-out.
    received: Rc<Cell<u64>>,
}

impl Job<'_> {
    /// Transfers with the retries that were asked for; returns the exit code.
    async fn run(&self, address: &str) -> Outcome {
        let options = &self.arguments.transfer;
        let mut delay = options.retry_delay.unwrap_or(1.0);
        let mut left = options.retries;
        loop {
            let mut attempt = Attempt { summary: Summary::default(), begun: Instant::now(), received: Rc::default() };
            let ended = self.transfer_in_time(address, &mut attempt).await;
            let summary = &mut attempt.summary;
            summary.times.total = attempt.begun.elapsed();
            let status = summary.response.as_ref().map_or(0, |response| response.status);
            let repeats = match &ended {
                Ok(()) => is_transient_status(status),
                Err(error) => {
                    options.retries_all || error.is_transient() || (options.retries_refused && error.is_refused())
                }
            };
            if left > 0 && repeats {
                left -= 1;
                let text = format!("Warning: Transient problem. Will retry in {delay:.0} s. {left} retries left.\n");
                self.print_note(&text).await;
                wait(delay).await;
                if options.retry_delay.is_none() {
                    delay = (delay * 2.0).min(600.0);
                }
                continue;
            }
            if let Err(error) = &ended {
                if let CurlError::Http(HttpError::Write(error)) = error
                    && super::is_closed(error)
                    && self.destination.is_none()
                {
                    return Err(EarlyExit::Code(23));
                }
                summary.exit_code = error.exit_code();
                summary.error = error.to_string();
                if !self.arguments.output.silent || self.arguments.output.shows_errors {
                    let line = format!("({}) {error}", error.exit_code());
                    self.p.print_error(line).await;
                }
            }
            if let Some(format) = &self.arguments.output.write_out {
                self.p.stdout.write_all(summary.format(format).as_bytes()).await?;
            }
            return Ok(summary.exit_code);
        }
    }

    /// Writes to standard error unless `-s` was given.
    async fn print_note(&self, text: &str) {
        if !self.arguments.output.silent {
            let _ = self.p.stderr.write_all(text.as_bytes()).await;
        }
    }

    async fn print_verbose(&self, mark: char, lines: &str) {
        if self.arguments.output.verbose {
            let mut text = String::new();
            lines.lines().for_each(|line| text += &format!("{mark} {line}\n"));
            let _ = self.p.stderr.write_all(text.as_bytes()).await;
        }
    }

    /// Transfers within `-m`.
    async fn transfer_in_time(&self, address: &str, attempt: &mut Attempt) -> Result<(), CurlError> {
        let Some(seconds) = self.arguments.transfer.max_seconds.filter(|seconds| *seconds > 0.0) else {
            return self.transfer(address, attempt).await;
        };
        let ended = {
            let transfer = pin!(self.transfer(address, attempt));
            within(seconds, transfer).await
        };
        ended.unwrap_or_else(|| {
            let connecting = attempt.summary.remote_ip.is_empty();
            Err(CurlError::TimedOut { connecting, after: attempt.begun.elapsed(), received: attempt.received.get() })
        })
    }

    async fn transfer(&self, address: &str, attempt: &mut Attempt) -> Result<(), CurlError> {
        let options = &self.arguments.transfer;
        let most = options.max_redirects.unwrap_or(MAX_REDIRECTS);
        let mut content = self.content.clone();
        let mut address = address.to_string();
        let mut first_host = None;
        loop {
            let mut url = Url::parse(&address).map_err(CurlError::Url)?;
            self.add_query(&mut url, &mut content);
            // Another host must not see the user's password.
            let same_host = *first_host.get_or_insert_with(|| url.host.clone()) == url.host;
            let user = self.arguments.request.credentials.as_deref().filter(|_| same_host);
            let credentials = user.or(url.credentials.as_deref()).map(str::to_string);
            let mut connection = self.connect(&url, attempt).await?;
            let request = build(&url, &self.arguments.request, &content, credentials.as_deref());
            let head = request.head(&url);
            let mut bytes = head.clone().into_bytes();
            bytes.extend(request.body.unwrap_or_default());
            connection.send(&bytes).await?;
            self.print_verbose('>', &head).await;
            let summary = &mut attempt.summary;
            summary.url = format!("http://{}{}", url.authority(), url.path);
            summary.method = content.method.clone();
            summary.uploaded = (bytes.len() - head.len()) as u64;
            let response = self.read_head(&mut connection, attempt).await?;
            let location = response.redirect().map(|location| url.join(location));
            let summary = &mut attempt.summary;
            if let Some(location) = location {
                if options.follows {
                    if summary.redirects >= most {
                        summary.response = Some(response);
                        return Err(CurlError::TooManyRedirects(most));
                    }
                    if self.arguments.output.with_head || self.arguments.output.only_head {
                        self.print_head(&response).await?;
                    }
                    self.print_verbose('*', &format!("Issue another request to this URL: '{location}'")).await;
                    summary.redirects += 1;
                    content = content.after_redirect(response.status, self.arguments.request.method.is_some());
                    address = location;
                    continue;
                }
                summary.redirect_url = location;
            }
            return self.save(&url, connection, response, attempt).await;
        }
    }

    /// With `-G`, moves the data to the query.
    fn add_query(&self, url: &mut Url, content: &mut Content) {
        if self.arguments.request.data_in_query
            && content.is_form
            && let Some(body) = content.body.take()
        {
            url.path.push(if url.path.contains('?') { '&' } else { '?' });
            url.path += &String::from_utf8_lossy(&body);
            content.is_form = false;
        }
    }

    async fn connect(&self, url: &Url, attempt: &mut Attempt) -> Result<Connection, CurlError> {
        let options = &self.arguments.transfer;
        let seconds = options.connect_seconds.filter(|seconds| *seconds > 0.0).unwrap_or(CONNECT_SECONDS);
        let begun = Instant::now();
        let connected = match within(seconds, pin!(Connection::open(&url.host, url.port, f64::INFINITY))).await {
            Some(connected) => connected,
            None => return Err(CurlError::TimedOut { connecting: true, after: begun.elapsed(), received: 0 }),
        };
        let (connection, ip) = connected.map_err(|error| connect_error(error, &url.host, url.port, begun.elapsed()))?;
        let summary = &mut attempt.summary;
        (summary.remote_ip, summary.remote_port) = (ip.to_string(), url.port);
        summary.times.connected = attempt.begun.elapsed();
        self.print_verbose('*', &format!("Connected to {} ({ip}) port {}", url.host, url.port)).await;
        Ok(connection)
    }

    /// Reads the head of the final response.
    async fn read_head(&self, connection: &mut Connection, attempt: &mut Attempt) -> Result<Response, CurlError> {
        loop {
            let response = connection.read_head().await?;
            let summary = &mut attempt.summary;
            summary.times.first_byte = attempt.begun.elapsed();
            summary.head_size += head_text(&response).len();
            self.print_verbose('<', &head_text(&response)).await;
            if let Some(name) = &self.arguments.output.dump_head {
                self.dump_head(name, &response).await?;
            }
            // Others are provisional.
            if response.status >= 200 {
                return Ok(response);
            }
        }
    }

    async fn dump_head(&self, name: &str, response: &Response) -> Result<(), CurlError> {
        let text = head_text(response);
        let written = if name == "-" {
            self.p.stdout.write_all(text.as_bytes()).await
        } else {
            std::fs::write(self.p.path(name), text)
        };
        written.map_err(|error| CurlError::CannotOpen(name.to_string(), error))
    }

    async fn print_head(&self, response: &Response) -> Result<(), CurlError> {
        let written = self.p.stdout.write_all(head_text(response).as_bytes()).await;
        written.map_err(|error| CurlError::Http(HttpError::Write(error)))
    }

    /// Writes the response where it belongs.
    async fn save(
        &self,
        url: &Url,
        mut connection: Connection,
        response: Response,
        attempt: &mut Attempt,
    ) -> Result<(), CurlError> {
        let options = &self.arguments.transfer;
        let failed = options.fails && response.status >= 400;
        let status = response.status;
        let result = if failed && !options.fails_with_body {
            Ok(())
        } else {
            self.copy(url, &mut connection, &response, attempt).await
        };
        attempt.summary.response = Some(response);
        result?;
        if failed { Err(CurlError::HttpStatus(status)) } else { Ok(()) }
    }

    async fn copy(
        &self,
        url: &Url,
        connection: &mut Connection,
        response: &Response,
        attempt: &mut Attempt,
    ) -> Result<(), CurlError> {
        let output = &self.arguments.output;
        let sink = self.open_destination(url, attempt)?;
        if output.with_head || output.only_head {
            let written = sink.write_all(head_text(response).as_bytes()).await;
            written.map_err(|error| CurlError::Http(HttpError::Write(error)))?;
        }
        if attempt.summary.method == "HEAD" {
            return Ok(());
        }
        attempt.received = connection.received();
        attempt.summary.downloaded = connection.copy_body(response, &sink).await?;
        Ok(())
    }

    fn open_destination(&self, url: &Url, attempt: &mut Attempt) -> Result<Writer, CurlError> {
        let options = &self.arguments.output;
        let name = match &self.destination {
            None => return Ok(self.p.stdout.clone()),
            Some(Destination::File(name)) if name == "-" => return Ok(self.p.stdout.clone()),
            Some(Destination::File(name)) => name.clone(),
            Some(Destination::RemoteName) => {
                let path = url.path.split('?').next().unwrap_or_default();
                if path.ends_with('/') { "curl_response".into() } else { base_name(path).to_string() }
            }
        };
        let name = match &options.directory {
            Some(directory) => format!("{}/{name}", directory.trim_end_matches('/')),
            None => name,
        };
        if name == "/dev/null" {
            return Ok(Writer::null());
        }
        let path = self.p.path(&name);
        let opened = create(&path, options.create_directories);
        let file = opened.map_err(|error| CurlError::CannotOpen(name.clone(), error))?;
        attempt.summary.file = name;
        Ok(Writer::from_file(file))
    }
}

fn create(path: &Path, with_directories: bool) -> io::Result<std::fs::File> {
    if with_directories && let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    OpenOptions::new().write(true).create(true).truncate(true).open(path)
}

/// Returns the head as it was received.
fn head_text(response: &Response) -> String {
    let mut text = format!("{}\r\n", response.first_line);
    response.lines.iter().for_each(|line| text += &format!("{line}\r\n"));
    text + "\r\n"
}
