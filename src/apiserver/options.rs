//! What a client wants of a list or a watch: `ListOptions` of `meta/v1`, checked in Kubernetes' words.

use std::time::Duration;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use serde::{Deserialize, Serialize};

use super::request::Params;
use crate::control::{Cause, Reason, Revision, Status};

/// How new the answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// As it stands now.
    Now,
    /// At this revision or later.
    NotOlderThan(Revision),
    /// At this very revision.
    Exact(Revision),
}

/// Where the next part of a list begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continue {
    /// The revision of the first part.
    pub revision: Revision,
    /// Behind the object of this namespace and name.
    pub after: (String, String),
}

/// A checked request for a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListOptions {
    /// How new it must be.
    pub freshness: Freshness,
    /// At most so many objects; `None` for all.
    pub limit: Option<usize>,
    /// Where an earlier part ended.
    pub start: Option<Continue>,
}

/// A checked request for a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchOptions {
    /// Behind this revision; `None`: what there is now comes first, as added.
    pub from: Option<Revision>,
    /// Whether the end of what there is now is marked by a bookmark.
    pub mark_initial_end: bool,
    /// Whether the client reads bookmarks.
    pub bookmarks: bool,
    /// When the watch ends by itself.
    pub timeout: Duration,
}

/// A watch that names no time ends after this; clients then watch again.
const WATCH_TIMEOUT: Duration = Duration::from_secs(45 * 60);

impl ListOptions {
    /// Reads and checks the parameters.
    pub fn of(params: &Params) -> Result<ListOptions, Status> {
        check(params, false)?;
        let revision = revision(params)?;
        let start = params.get("continue").map(Continue::read).transpose()?;
        if start.is_some() && revision.is_some_and(|revision| revision > 0) {
            return Err(Status::new(
                Reason::BadRequest,
                "specifying resource version is not allowed when using continue",
            ));
        }
        let freshness = match (revision, params.get("resourceVersionMatch")) {
            (Some(revision), Some("Exact")) => Freshness::Exact(revision),
            (Some(revision), _) if revision > 0 => Freshness::NotOlderThan(revision),
            _ => Freshness::Now,
        };
        seconds(params)?;
        let limit = number(params, "limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        Ok(ListOptions { freshness, limit, start })
    }
}

impl WatchOptions {
    /// Reads and checks the parameters.
    pub fn of(params: &Params) -> Result<WatchOptions, Status> {
        check(params, true)?;
        let initial = params.flag("sendInitialEvents");
        let bookmarks = params.flag("allowWatchBookmarks");
        let from = revision(params)?.filter(|revision| *revision > 0 && !initial);
        let asked = seconds(params)?;
        let timeout = asked.map_or(WATCH_TIMEOUT, Duration::from_secs);
        Ok(WatchOptions { from, mark_initial_end: initial && bookmarks, bookmarks, timeout })
    }
}

/// The rules that `ListOptions` as a whole obey (`meta/internalversion/validation`).
fn check(params: &Params, watch: bool) -> Result<(), Status> {
    let causes = if watch { faults_of_watch(params) } else { faults_of_list(params) };
    if causes.is_empty() { Ok(()) } else { Err(invalid(causes)) }
}

const MATCH: &str = "resourceVersionMatch";

fn faults_of_list(params: &Params) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(found) = params.get(MATCH) {
        let revision = params.get("resourceVersion");
        if revision.is_none() {
            causes.push(forbidden(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        if params.get("continue").is_some() {
            causes.push(forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"));
        }
        causes.extend(not_among(found, &["Exact", "NotOlderThan", ""]));
        if found == "Exact" && revision == Some("0") {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            causes.push(forbidden(MATCH, why));
        }
    }
    if params.get("sendInitialEvents").is_some() {
        causes.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    causes
}

fn faults_of_watch(params: &Params) -> Vec<Cause> {
    let mut causes = Vec::new();
    let initial = params.get("sendInitialEvents").is_some();
    let found = params.get(MATCH);
    if initial && found != Some("NotOlderThan") {
        causes.push(forbidden(MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
    }
    if let Some(found) = found {
        if !initial {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            causes.push(forbidden(MATCH, why));
        }
        causes.extend(not_among(found, &["NotOlderThan"]));
        if params.get("continue").is_some() {
            causes.push(forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"));
        }
    }
    causes
}

/// What is wrong with a `resourceVersionMatch` that is none of these.
fn not_among(found: &str, supported: &[&str]) -> Option<Cause> {
    let names: Vec<String> = supported.iter().map(|name| format!("{name:?}")).collect();
    let message = format!("Unsupported value: {found:?}: supported values: {}", names.join(", "));
    let cause = || Cause { field: MATCH.into(), reason: "FieldValueNotSupported", message };
    (!supported.contains(&found)).then(cause)
}

fn forbidden(field: &str, message: &str) -> Cause {
    Cause { field: field.into(), reason: "FieldValueForbidden", message: format!("Forbidden: {message}") }
}

fn invalid(causes: Vec<Cause>) -> Status {
    Status::invalid("ListOptions.meta.k8s.io", "", causes).with_group("meta.k8s.io").with_details("ListOptions", "")
}

/// The revision that is asked for. A real server answers 500 to what is no number; it is the request that is bad.
pub fn revision(params: &Params) -> Result<Option<Revision>, Status> {
    let Some(text) = params.get("resourceVersion") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let message = format!("resourceVersion: Invalid value: {text:?}: must be one that an earlier answer told");
        Status::new(Reason::BadRequest, message)
    })
}

/// How long it may take, where the client says so.
fn seconds(params: &Params) -> Result<Option<u64>, Status> {
    Ok(number(params, "timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0))
}

fn number(params: &Params, name: &str) -> Result<Option<i64>, Status> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let wrong = |_| Status::new(Reason::BadRequest, format!("{name}: Invalid value: {text:?}: must be a whole number"));
    text.parse().map(Some).map_err(wrong)
}

/// 504: the future is not here yet.
pub fn too_new(asked: Revision, current: Revision) -> Status {
    let message = "Too large resource version";
    let cause = Cause { field: String::new(), reason: "ResourceVersionTooLarge", message: message.into() };
    let message = format!("Timeout: {message}: {asked}, current: {current}");
    Status::new(Reason::Timeout, message).with_retry_after(1).with_causes(vec![cause])
}

/// As Go reads it: bits beyond the last byte don't matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// What a continue token says.
#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    rv: Revision,
    start: String,
}

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

impl Continue {
    /// The token for clients.
    pub fn token(&self) -> String {
        let start = format!("{}/{}\0", self.after.0, self.after.1);
        let token = Token { v: TOKEN_VERSION.into(), rv: self.revision, start };
        BASE64.encode(serde_json::to_string(&token).unwrap_or_default())
    }

    fn read(token: &str) -> Result<Continue, Status> {
        let wrong = |why: String| {
            Status::new(Reason::BadRequest, format!("invalid continue token: continue key is not valid: {why}"))
        };
        let decoded = BASE64.decode(token.trim_end_matches('='));
        let decoded = decoded.map_err(|_| wrong("it is not in base64".into()))?;
        let read: Token = serde_json::from_slice(&decoded).map_err(|_| match decoded.first() {
            Some(first) if *first != b'{' => {
                wrong(format!("invalid character '{}' looking for beginning of value", char::from(*first)))
            }
            _ => wrong("it is no token of this server".into()),
        })?;
        let place = read.start.strip_suffix('\0').and_then(|start| start.split_once('/'));
        match place {
            Some((namespace, name)) if read.v == TOKEN_VERSION => {
                Ok(Continue { revision: read.rv, after: (namespace.into(), name.into()) })
            }
            _ => Err(wrong("it is no token of this server".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &str) -> Result<ListOptions, String> {
        ListOptions::of(&Params::of(Some(query))).map_err(|status| status.message)
    }

    #[test]
    fn lists_say_how_new_they_must_be() {
        for (query, freshness) in [
            ("", Freshness::Now),
            ("resourceVersion=0", Freshness::Now),
            ("resourceVersion=5", Freshness::NotOlderThan(5)),
            ("resourceVersion=5&resourceVersionMatch=NotOlderThan", Freshness::NotOlderThan(5)),
            ("resourceVersion=5&resourceVersionMatch=Exact", Freshness::Exact(5)),
        ] {
            assert_eq!(list(query).map(|o| o.freshness), Ok(freshness), "{query}");
        }
        assert_eq!(list("limit=-1").map(|o| o.limit), Ok(None));
        assert_eq!(list("limit=2").map(|o| o.limit), Ok(Some(2)));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (query, message) in [
            ("resourceVersionMatch=Exact", "resourceVersionMatch is forbidden unless resourceVersion is provided"),
            ("resourceVersion=1&resourceVersionMatch=Best", "supported values: \"Exact\", \"NotOlderThan\", \"\""),
            (
                "resourceVersionMatch=Foo",
                "[resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided, \
                 resourceVersionMatch: Unsupported value: \"Foo\": supported values:",
            ),
            ("timeoutSeconds=abc", "must be a whole number"),
            ("resourceVersion=0&resourceVersionMatch=Exact", "is forbidden for resourceVersion \"0\""),
            ("sendInitialEvents=true", "sendInitialEvents is forbidden for list"),
            ("resourceVersion=abc", "must be one that an earlier answer told"),
            ("limit=many", "must be a whole number"),
            ("continue=zzz", "invalid character 'Ï' looking for beginning of value"),
            ("continue=!", "it is not in base64"),
            ("continue=e30", "it is no token of this server"),
        ] {
            let refused = list(query).expect_err(query);
            assert!(refused.contains(message), "{query}: {refused}");
        }
        let watch = |query: &str| WatchOptions::of(&Params::of(Some(query)));
        let (needed, needs) =
            ("Forbidden: sendInitialEvents requires", "Forbidden: resourceVersionMatch is forbidden for");
        let unsupported = "Unsupported value: \"Exact\": supported values: \"NotOlderThan\"";
        for (query, causes) in [
            ("sendInitialEvents=true", &[needed][..]),
            ("resourceVersionMatch=NotOlderThan", &[needs]),
            ("resourceVersionMatch=Exact", &[needs, unsupported]),
            ("sendInitialEvents=true&resourceVersionMatch=Exact", &[needed, unsupported]),
        ] {
            let refused = watch(query).expect_err(query);
            let told: Vec<&str> = refused.causes.iter().map(|cause| cause.message.as_str()).collect();
            let same =
                told.len() == causes.len() && told.iter().zip(causes).all(|(told, cause)| told.starts_with(cause));
            assert!(same, "{query}: {told:?}");
        }
        let unmarked = watch("sendInitialEvents=true&resourceVersionMatch=NotOlderThan").expect("a watch");
        assert!(!unmarked.mark_initial_end, "who reads no bookmarks gets none");
        assert_eq!(watch("resourceVersion=7").map(|o| o.from), Ok(Some(7)));
    }

    #[test]
    fn a_continue_token_leads_back_to_its_place() {
        let place = Continue { revision: 9, after: ("ns".into(), "b".into()) };
        let options = list(&format!("continue={}&limit=2", place.token())).expect("options");
        assert_eq!(options.start, Some(place));
    }
}
