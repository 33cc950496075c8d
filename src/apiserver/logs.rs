//! `pods/NAME/log`: which attempt of which container is meant, and its lines as text.

use std::num::{IntErrorKind, ParseIntError};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::answer;
use super::request::Params;
use crate::control::{Cause, Reason, Status};
use crate::logs::{Entry, Line, LogReader};
use crate::model::{go, pods};

/// `PodLogOptions`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    container: Option<String>,
    follow: bool,
    previous: bool,
    timestamps: bool,
    tail: Option<usize>,
    since: Option<Since>,
    limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Seconds(i64),
    Time(Timestamp),
}

impl LogOptions {
    /// Reads and checks the parameters of a request for the log of pod `name`.
    pub fn of(name: &str, params: &Params) -> Result<LogOptions, Status> {
        let mut faults = Faults::default();
        let (seconds, tail, limit) =
            (number(params, "sinceSeconds")?, number(params, "tailLines")?, number(params, "limitBytes")?);
        let time = params.get("sinceTime").map(time).transpose()?;
        faults.at_least(0, "tailLines", tail, "must be greater than or equal to 0");
        faults.at_least(1, "limitBytes", limit, "must be greater than 0");
        faults.at_least(1, "sinceSeconds", seconds, "must be greater than 0");
        if time.is_some() && seconds.is_some() {
            let rule = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified";
            faults.add("[]", "FieldValueForbidden", rule.into());
        }
        if !faults.0.is_empty() {
            return Err(Status::invalid("PodLogOptions", name, faults.0));
        }
        let count = |number: Option<i64>| number.and_then(|n| usize::try_from(n).ok());
        Ok(LogOptions {
            container: params.get("container").map(Into::into),
            follow: params.flag("follow"),
            previous: params.flag("previous"),
            timestamps: params.flag("timestamps"),
            tail: count(tail),
            since: seconds.map(Since::Seconds).or(time.map(Since::Time)),
            limit: count(limit),
        })
    }

    /// The container that is meant: the one that is named, or the only one there is.
    pub fn container<'p>(&'p self, pod: &'p Pod) -> Result<&'p str, Status> {
        let refused = |message| Err(Status::new(Reason::BadRequest, message));
        let name = pods::name(pod);
        let Some(spec) = &pod.spec else { return refused(format!("pod {name} has no containers")) };
        let known: Vec<&str> = pods::container_names(pod).collect();
        match (&self.container, spec.containers.as_slice()) {
            (Some(wanted), _) if known.contains(&wanted.as_str()) => Ok(wanted),
            (Some(wanted), _) => refused(format!("container {wanted} is not valid for pod {name}")),
            (None, [only]) => Ok(&only.name),
            (None, _) => refused(format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                known.join(" ")
            )),
        }
    }

    /// The ID of the attempt whose log is meant, or why there is none (K77).
    pub fn attempt<'p>(&self, pod: &'p Pod, container: &str) -> Result<&'p str, Status> {
        let place = format!("container {container:?} in pod {:?}", pods::name(pod));
        let refused = |message: String| Err(Status::new(Reason::BadRequest, message));
        let Some(status) = container_status(pod, container) else {
            return refused(format!("{place} is not available"));
        };
        let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let last_id = last.and_then(|ended| ended.container_id.as_deref()).filter(|id| !id.is_empty());
        if self.previous {
            return match last_id {
                Some(id) => Ok(id),
                None => refused(format!("previous terminated {place} not found")),
            };
        }
        let state = status.state.as_ref();
        let running = state.and_then(|s| s.running.as_ref()).and(status.container_id.as_deref());
        let ended = state.and_then(|s| s.terminated.as_ref());
        let own = running.or(ended.and_then(|e| e.container_id.as_deref())).filter(|id| !id.is_empty());
        if let Some(id) = own.or(last_id) {
            return Ok(id);
        }
        if ended.is_some() || last.is_some() {
            return refused(format!("{place} is terminated"));
        }
        let why = state.and_then(|s| s.waiting.as_ref()).and_then(|w| w.reason.as_deref());
        match why {
            Some("ErrImagePull") => refused(format!("{place} is waiting to start: image can't be pulled")),
            Some("ImagePullBackOff") => {
                refused(format!("{place} is waiting to start: trying and failing to pull image"))
            }
            Some(reason) => refused(format!("{place} is waiting to start: {reason}")),
            None => refused(format!("{place} is waiting to start - no logs yet")),
        }
    }

    /// The log as the client wants it; `now` is when it asked.
    pub fn answer(&self, reader: LogReader, now: Timestamp) -> Response {
        let since = match self.since {
            Some(Since::Seconds(seconds)) => now.saturating_sub(SignedDuration::from_secs(seconds)).ok(),
            Some(Since::Time(time)) => Some(time),
            None => None,
        };
        let printer = Printer { timestamps: self.timestamps, since, room: self.limit, inside_line: false };
        let state = Delivery { reader, printer, tail: self.tail, follow: self.follow, begun: false };
        let chunks = stream::unfold(state, Delivery::next);
        answer::body(answer::TEXT, Body::from_stream(chunks))
    }
}

#[derive(Default)]
struct Faults(Vec<Cause>);

impl Faults {
    fn add(&mut self, field: &str, reason: &'static str, message: String) {
        self.0.push(Cause { field: field.into(), reason, message });
    }

    fn at_least(&mut self, least: i64, name: &str, number: Option<i64>, rule: &str) {
        if let Some(number) = number.filter(|number| *number < least) {
            self.add(name, "FieldValueInvalid", format!("Invalid value: {number}: {rule}"));
        }
    }
}

/// A whole number, or a refusal in Go's words.
fn number(params: &Params, name: &str) -> Result<Option<i64>, Status> {
    let Some(text) = params.all(name).next() else { return Ok(None) };
    text.parse().map(Some).map_err(|error: ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Status::new(Reason::BadRequest, format!("strconv.ParseInt: parsing {}: {why}", go::quoted(text)))
    })
}

fn time(text: &str) -> Result<Timestamp, Status> {
    text.parse().map_err(|_| {
        let (text, layout) = (go::quoted(text), "2006-01-02T15:04:05Z07:00");
        Status::new(Reason::BadRequest, format!("parsing time {text} as \"{layout}\": cannot parse {text} as \"2006\""))
    })
}

fn container_status<'p>(pod: &'p Pod, container: &str) -> Option<&'p ContainerStatus> {
    let status = pod.status.as_ref()?;
    let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().find(|s| s.name == container)
}

/// A log on its way to a client.
struct Delivery {
    reader: LogReader,
    printer: Printer,
    tail: Option<usize>,
    follow: bool,
    begun: bool,
}

impl Delivery {
    /// Goes to where the client wants to begin, and end.
    async fn begin(&mut self) {
        if !self.follow {
            self.reader.stop_at_current_end();
        }
        if let Some(lines) = self.tail {
            self.reader.skip_to_last(lines).await;
        }
        if let Some(time) = self.printer.since {
            self.reader.skip_towards(time).await;
        }
    }

    /// The next piece of text; `None` at the end.
    async fn next(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Delivery)> {
        loop {
            if self.printer.room == Some(0) {
                return None;
            }
            let begins = !std::mem::replace(&mut self.begun, true);
            if begins {
                self.begin().await;
            }
            let mut entries = self.reader.next().await?;
            // What was rotated away before anybody asked is no gap in what is asked for.
            if begins && matches!(entries.first(), Some(Entry::Gap(_))) {
                entries.remove(0);
            }
            let text = self.printer.print(&entries);
            if !text.is_empty() {
                return Some((Ok(text.into()), self));
            }
        }
    }
}

struct Printer {
    timestamps: bool,
    since: Option<Timestamp>,
    /// Bytes that may still be sent.
    room: Option<usize>,
    /// The last piece of text ended no line.
    inside_line: bool,
}

impl Printer {
    fn wants(&self, line: &Line) -> bool {
        self.since.is_none_or(|since| line.timestamp >= since)
    }

    fn print(&mut self, entries: &[Entry]) -> Vec<u8> {
        let mut text = Vec::new();
        for entry in entries {
            match entry {
                Entry::Line(line) if self.wants(line) => {
                    if self.timestamps && !self.inside_line {
                        text.extend_from_slice(format!("{:.9} ", line.timestamp).as_bytes());
                    }
                    text.extend_from_slice(&line.text);
                    if line.complete {
                        text.push(b'\n');
                    }
                    self.inside_line = !line.complete;
                }
                Entry::Line(_) => {}
                Entry::Gap(lines) => {
                    let word =
                        format!("[wasmpod: {lines} lines were written faster than they were read, and dropped]\n");
                    text.extend_from_slice(word.as_bytes());
                    self.inside_line = false;
                }
            }
        }
        if let Some(room) = &mut self.room {
            text.truncate(*room);
            *room -= text.len();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::logs::{Log, Stream};

    fn options(query: &str) -> Result<LogOptions, Status> {
        LogOptions::of("a", &Params::of(Some(query)))
    }

    async fn text(log: &std::sync::Arc<Log>, query: &str) -> String {
        let now = Timestamp::from_second(100).expect("a time");
        let answer = options(query).expect("options").answer(log.reader(), now);
        let mut body = answer.into_body().into_data_stream();
        let mut all = Vec::new();
        while let Some(chunk) = body.next().await {
            all.extend_from_slice(&chunk.expect("a chunk"));
        }
        String::from_utf8(all).expect("text")
    }

    #[tokio::test]
    async fn a_log_is_cut_as_asked() {
        let log = Log::new();
        for (second, line) in [(10, "one\n"), (20, "two\n"), (95, "three\n"), (99, "four")] {
            log.write(Stream::Stdout, line.as_bytes(), Timestamp::from_second(second).expect("a time"));
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
    fn bad_options_are_refused_in_kubernetes_words() {
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
    fn the_container_must_be_clear() {
        let two = pod("");
        let refused = options("").expect("options").container(&two).expect_err("two containers").message;
        assert_eq!(refused, "a container name must be specified for pod p, choose one of: [i c d]");
        let refused = options("container=zz").expect("options").container(&two).expect_err("no zz").message;
        assert_eq!(refused, "container zz is not valid for pod p");
        assert_eq!(options("container=i").expect("options").container(&two), Ok("i"));
    }

    #[test]
    fn k77_the_attempt_follows_from_the_status() {
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
            let found = options.attempt(&pod, "c").map_err(|status| status.message);
            assert_eq!(found, want.map_err(String::from), "{state} {query}");
        }
    }
}
