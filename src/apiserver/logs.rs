//! `pods/NAME/log`: selects the attempt of a container and streams its lines as text.

use std::num::{IntErrorKind, ParseIntError};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::request::Params;
use super::response;
use crate::control::{Cause, Reason, Status};
use crate::logs::{Line, LineJoiner, LogEntry, LogReader};
use crate::model::{go, pods};

/// Validated `PodLogOptions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    container: Option<String>,
    follow: bool,
    previous: bool,
    timestamps: bool,
    tail: Option<usize>,
    since: Option<LogStart>,
    limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogStart {
    Seconds(i64),
    Time(Timestamp),
}

impl LogOptions {
    /// Parses and validates the parameters of a request for the log of pod `name`.
    pub fn parse(name: &str, params: &Params) -> Result<LogOptions, Status> {
        let mut errors = OptionErrors::default();
        let (seconds, tail, limit) = (
            parse_integer(params, "sinceSeconds")?,
            parse_integer(params, "tailLines")?,
            parse_integer(params, "limitBytes")?,
        );
        let time = params.get("sinceTime").map(parse_time).transpose()?;
        errors.check_minimum(0, "tailLines", tail, "must be greater than or equal to 0");
        errors.check_minimum(1, "limitBytes", limit, "must be greater than 0");
        errors.check_minimum(1, "sinceSeconds", seconds, "must be greater than 0");
        if time.is_some() && seconds.is_some() {
            let rule = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified";
            errors.add("[]", "FieldValueForbidden", rule.into());
        }
        if !errors.0.is_empty() {
            return Err(Status::invalid("PodLogOptions", name, errors.0));
        }
        let count = |number: Option<i64>| number.and_then(|n| usize::try_from(n).ok());
        Ok(LogOptions {
            container: params.get("container").map(Into::into),
            follow: params.flag("follow"),
            previous: params.flag("previous"),
            timestamps: params.flag("timestamps"),
            tail: count(tail),
            since: seconds.map(LogStart::Seconds).or(time.map(LogStart::Time)),
            limit: count(limit),
        })
    }

    /// Returns the requested container, or the pod's only one.
    pub fn resolve_container<'p>(&'p self, pod: &'p Pod) -> Result<&'p str, Status> {
        resolve_container(pod, self.container.as_deref())
    }

    /// Returns the container ID of the requested attempt, or Kubernetes' error if it has no log (K77).
    pub fn resolve_attempt<'p>(&self, pod: &'p Pod, container: &str) -> Result<&'p str, Status> {
        let subject = format!("container {container:?} in pod {:?}", pods::name(pod));
        let reject = |message: String| Err(Status::new(Reason::BadRequest, message));
        let Some(status) = container_status(pod, container) else {
            return reject(format!("{subject} is not available"));
        };
        let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let last_id = last.and_then(|terminated| terminated.container_id.as_deref()).filter(|id| !id.is_empty());
        if self.previous {
            return match last_id {
                Some(id) => Ok(id),
                None => reject(format!("previous terminated {subject} not found")),
            };
        }
        let state = status.state.as_ref();
        let running = state.and_then(|s| s.running.as_ref()).and(status.container_id.as_deref());
        let terminated = state.and_then(|s| s.terminated.as_ref());
        let current = running.or(terminated.and_then(|t| t.container_id.as_deref())).filter(|id| !id.is_empty());
        if let Some(id) = current.or(last_id) {
            return Ok(id);
        }
        if terminated.is_some() || last.is_some() {
            return reject(format!("{subject} is terminated"));
        }
        let reason = state.and_then(|s| s.waiting.as_ref()).and_then(|w| w.reason.as_deref());
        match reason {
            Some("ErrImagePull") => reject(format!("{subject} is waiting to start: image can't be pulled")),
            Some("ImagePullBackOff") => {
                reject(format!("{subject} is waiting to start: trying and failing to pull image"))
            }
            Some(reason) => reject(format!("{subject} is waiting to start: {reason}")),
            None => reject(format!("{subject} is waiting to start - no logs yet")),
        }
    }

    /// Returns the response that streams the log; `now` is the time of the request.
    pub fn response(&self, reader: LogReader, now: Timestamp) -> Response {
        let since = match self.since {
            Some(LogStart::Seconds(seconds)) => now.saturating_sub(SignedDuration::from_secs(seconds)).ok(),
            Some(LogStart::Time(time)) => Some(time),
            None => None,
        };
        let printer = LogFormatter { timestamps: self.timestamps, since, remaining: self.limit, inside_line: false };
        let stream = LogResponseBody {
            reader,
            joiner: LineJoiner::default(),
            formatter: printer,
            tail: self.tail,
            follow: self.follow,
            started: false,
        };
        let chunks = stream::unfold(stream, LogResponseBody::next_chunk);
        response::ok(response::TEXT, Body::from_stream(chunks))
    }
}

/// Returns the container that a client requested, or the pod's only one.
pub fn resolve_container<'p>(pod: &'p Pod, requested: Option<&'p str>) -> Result<&'p str, Status> {
    let reject = |message| Err(Status::new(Reason::BadRequest, message));
    let name = pods::name(pod);
    let Some(spec) = &pod.spec else { return reject(format!("pod {name} has no containers")) };
    let known: Vec<&str> = pods::container_names(pod).collect();
    match (requested, spec.containers.as_slice()) {
        (Some(requested), _) if known.contains(&requested) => Ok(requested),
        (Some(requested), _) => reject(format!("container {requested} is not valid for pod {name}")),
        (None, [only]) => Ok(&only.name),
        (None, _) => {
            let known = known.join(" ");
            reject(format!("a container name must be specified for pod {name}, choose one of: [{known}]"))
        }
    }
}

#[derive(Default)]
struct OptionErrors(Vec<Cause>);

impl OptionErrors {
    fn add(&mut self, field: &str, reason: &'static str, message: String) {
        self.0.push(Cause { field: field.into(), reason, message });
    }

    fn check_minimum(&mut self, min: i64, name: &str, number: Option<i64>, rule: &str) {
        if let Some(number) = number.filter(|number| *number < min) {
            self.add(name, "FieldValueInvalid", format!("Invalid value: {number}: {rule}"));
        }
    }
}

/// Parses an integer parameter; errors are those of Go's `strconv`.
fn parse_integer(params: &Params, name: &str) -> Result<Option<i64>, Status> {
    let Some(text) = params.all(name).next() else { return Ok(None) };
    text.parse().map(Some).map_err(|error: ParseIntError| {
        let reason = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Status::new(Reason::BadRequest, format!("strconv.ParseInt: parsing {}: {reason}", go::quote(text)))
    })
}

fn parse_time(text: &str) -> Result<Timestamp, Status> {
    text.parse().map_err(|_| {
        let (text, layout) = (go::quote(text), "2006-01-02T15:04:05Z07:00");
        Status::new(Reason::BadRequest, format!("parsing time {text} as \"{layout}\": cannot parse {text} as \"2006\""))
    })
}

fn container_status<'p>(pod: &'p Pod, container: &str) -> Option<&'p ContainerStatus> {
    let status = pod.status.as_ref()?;
    let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().find(|s| s.name == container)
}

/// A log that is being sent to a client.
struct LogResponseBody {
    reader: LogReader,
    joiner: LineJoiner,
    formatter: LogFormatter,
    tail: Option<usize>,
    follow: bool,
    started: bool,
}

impl LogResponseBody {
    /// Moves the reader to the requested start, and to a fixed end unless the log is followed.
    async fn seek_start(&mut self) {
        if !self.follow {
            self.reader.stop_at_current_end();
        }
        if let Some(lines) = self.tail {
            self.reader.skip_to_last(lines).await;
        }
        if let Some(time) = self.formatter.since {
            self.reader.skip_towards(time).await;
        }
    }

    /// Returns the next chunk of text; `None` at the end.
    async fn next_chunk(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, LogResponseBody)> {
        loop {
            if self.formatter.remaining == Some(0) {
                return None;
            }
            let is_first = !std::mem::replace(&mut self.started, true);
            if is_first {
                self.seek_start().await;
            }
            let Some(mut entries) = self.reader.next().await else {
                let text = self.formatter.format(&self.joiner.finish());
                return (!text.is_empty()).then(|| (Ok(text.into()), self));
            };
            // Lines that were rotated away before the request are not a gap in the response.
            if is_first && matches!(entries.first(), Some(LogEntry::Gap(_))) {
                entries.remove(0);
            }
            let text = self.formatter.format(&self.joiner.join(entries));
            if !text.is_empty() {
                return Some((Ok(text.into()), self));
            }
        }
    }
}

/// Formats log entries as the client requested.
struct LogFormatter {
    timestamps: bool,
    since: Option<Timestamp>,
    /// Number of bytes that may still be sent.
    remaining: Option<usize>,
    /// Whether the last chunk ended within a line.
    inside_line: bool,
}

impl LogFormatter {
    fn includes(&self, line: &Line) -> bool {
        self.since.is_none_or(|since| line.timestamp >= since)
    }

    fn format(&mut self, entries: &[LogEntry]) -> Vec<u8> {
        let mut text = Vec::new();
        for entry in entries {
            match entry {
                LogEntry::Line(line) if self.includes(line) => {
                    if self.timestamps && !self.inside_line {
                        text.extend_from_slice(format!("{:.9} ", line.timestamp).as_bytes());
                    }
                    text.extend_from_slice(&line.text);
                    if line.complete {
                        text.push(b'\n');
                    }
                    self.inside_line = !line.complete;
                }
                LogEntry::Line(_) => {}
                LogEntry::Gap(lines) => {
                    let notice =
                        format!("[wasmpod: {lines} lines dropped: they were written faster than they were read]\n");
                    text.extend_from_slice(notice.as_bytes());
                    self.inside_line = false;
                }
            }
        }
        if let Some(remaining) = &mut self.remaining {
            text.truncate(*remaining);
            *remaining -= text.len();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::logs::{Log, LogStreamType};

    fn options(query: &str) -> Result<LogOptions, Status> {
        LogOptions::parse("a", &Params::parse(Some(query)))
    }

    async fn text(log: &std::sync::Arc<Log>, query: &str) -> String {
        let now = Timestamp::from_second(100).expect("a time");
        let response = options(query).expect("options").response(log.reader(), now);
        let mut body = response.into_body().into_data_stream();
        let mut all = Vec::new();
        while let Some(chunk) = body.next().await {
            all.extend_from_slice(&chunk.expect("a chunk"));
        }
        String::from_utf8(all).expect("text")
    }

    #[tokio::test]
    async fn log_options_select_lines() {
        let log = Log::new();
        for (second, line) in [(10, "one\n"), (20, "two\n"), (95, "three\n"), (99, "four")] {
            log.write(LogStreamType::Stdout, line.as_bytes(), Timestamp::from_second(second).expect("a time"));
        }
        log.close(Timestamp::from_second(99).expect("a time"));
        for (query, want) in [
            ("", "one\ntwo\nthree\nfour"),
            ("tailLines=2", "three\nfour"),
            ("tailLines=0", ""),
            ("sinceSeconds=10", "three\nfour"),
            ("sinceTime=1970-01-01T00:00:15Z&tailLines=9", "two\nthree\nfour"),
            ("limitBytes=5", "one\nt"),
            ("tailLines=1&timestamps=true", "1970-01-01T00:01:39.000000000Z four"),
            ("follow=true&tailLines=1", "four"),
            ("follow=true&limitBytes=3", "one"),
        ] {
            assert_eq!(text(&log, query).await, want, "{query}");
        }
    }

    #[test]
    fn invalid_options_get_kubernetes_messages() {
        for (query, message) in [
            (
                "tailLines=-1",
                "PodLogOptions \"a\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0",
            ),
            ("limitBytes=0", "PodLogOptions \"a\" is invalid: limitBytes: Invalid value: 0: must be greater than 0"),
            (
                "sinceSeconds=5&sinceTime=2020-01-01T00:00:00Z",
                "PodLogOptions \"a\" is invalid: []: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
            ),
            ("tailLines=abc", "strconv.ParseInt: parsing \"abc\": invalid syntax"),
            ("tailLines=", "strconv.ParseInt: parsing \"\": invalid syntax"),
            (
                "limitBytes=99999999999999999999",
                "strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
            ),
            (
                "sinceTime=abc&tailLines=-1",
                "parsing time \"abc\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"abc\" as \"2006\"",
            ),
        ] {
            let refused = options(query).expect_err(query);
            assert_eq!(refused.message, message);
            assert_eq!(refused.reason == Reason::Invalid, message.contains("is invalid"), "{query}");
        }
    }

    fn pod(statuses: &str) -> Pod {
        let text = format!(
            "{{metadata: {{name: p}}, spec: {{initContainers: [{{name: i}}], containers: [{{name: c}}, {{name: d}}]}}, status: {{{statuses}}}}}"
        );
        serde_yaml::from_str(&text).expect("a pod")
    }

    #[test]
    fn container_must_be_unambiguous() {
        let two = pod("");
        let refused = options("").expect("options").resolve_container(&two).expect_err("two containers").message;
        assert_eq!(refused, "a container name must be specified for pod p, choose one of: [i c d]");
        let refused = options("container=zz").expect("options").resolve_container(&two).expect_err("no zz").message;
        assert_eq!(refused, "container zz is not valid for pod p");
        assert_eq!(options("container=i").expect("options").resolve_container(&two), Ok("i"));
    }

    #[test]
    fn attempt_is_resolved_from_the_status() {
        let waiting = "state: {waiting: {reason: ContainerCreating}}";
        let crashed =
            "state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, containerID: x}}";
        let running = "containerID: y, state: {running: {}}, lastState: {terminated: {exitCode: 1, containerID: x}}";
        for (state, query, want) in [
            (waiting, "", Err("container \"c\" in pod \"p\" is waiting to start: ContainerCreating")),
            (waiting, "previous=true", Err("previous terminated container \"c\" in pod \"p\" not found")),
            (crashed, "", Ok("x")),
            (running, "", Ok("y")),
            (running, "previous=true", Ok("x")),
            ("state: {terminated: {exitCode: 0, containerID: z}}", "", Ok("z")),
        ] {
            let pod = pod(&format!(
                "containerStatuses: [{{name: c, image: '', imageID: '', ready: false, restartCount: 0, {state}}}]"
            ));
            let options = options(query).expect("options");
            let found = options.resolve_attempt(&pod, "c").map_err(|status| status.message);
            assert_eq!(found, want.map_err(String::from), "{state} {query}");
        }
    }
}
