//! Options of lists and watches: `ListOptions` of `meta/v1`, validated with Kubernetes' messages.

use std::time::Duration;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use serde::{Deserialize, Serialize};

use super::request::Params;
use crate::control::{Cause, Reason, Revision, Status};

/// The required revision of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The current revision.
    Latest,
    /// This revision or a later one.
    NotOlderThan(Revision),
    /// Exactly this revision.
    Exact(Revision),
}

/// Start of the next page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinueToken {
    /// Revision of the first page.
    pub revision: Revision,
    /// Namespace and name of the last object before the page.
    pub after: (String, String),
}

/// Validated options of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListOptions {
    /// Required revision.
    pub freshness: Freshness,
    /// Maximum number of objects; `None` for all.
    pub limit: Option<usize>,
    /// Start of the page; `None` for the first one.
    pub continue_from: Option<ContinueToken>,
}

/// Validated options of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchOptions {
    /// Revision after which the watch starts; `None` to begin with the current objects as `ADDED`.
    pub after: Option<Revision>,
    /// Whether a bookmark marks the end of the initial objects.
    pub initial_events_end: bool,
    /// Whether to send bookmarks.
    pub bookmarks: bool,
    /// Maximum duration of the watch.
    pub timeout: Duration,
}

/// Duration of a watch without a timeout; clients then watch again.
const DEFAULT_WATCH_TIMEOUT: Duration = Duration::from_secs(45 * 60);

impl ListOptions {
    /// Parses and validates the parameters.
    pub fn parse(params: &Params) -> Result<ListOptions, Status> {
        check(params, false)?;
        let revision = parse_revision(params)?;
        let start = params.get("continue").map(ContinueToken::decode).transpose()?;
        if start.is_some() && revision.is_some_and(|revision| revision > 0) {
            return Err(Status::new(
                Reason::BadRequest,
                "specifying resource version is not allowed when using continue",
            ));
        }
        let freshness = match (revision, params.get("resourceVersionMatch")) {
            (Some(revision), Some("Exact")) => Freshness::Exact(revision),
            (Some(revision), _) if revision > 0 => Freshness::NotOlderThan(revision),
            _ => Freshness::Latest,
        };
        parse_timeout(params)?;
        let limit =
            parse_integer(params, "limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        Ok(ListOptions { freshness, limit, continue_from: start })
    }
}

impl WatchOptions {
    /// Parses and validates the parameters.
    pub fn parse(params: &Params) -> Result<WatchOptions, Status> {
        check(params, true)?;
        let initial = params.flag("sendInitialEvents");
        let bookmarks = params.flag("allowWatchBookmarks");
        let from = parse_revision(params)?.filter(|revision| *revision > 0 && !initial);
        let timeout = parse_timeout(params)?.map_or(DEFAULT_WATCH_TIMEOUT, Duration::from_secs);
        Ok(WatchOptions { after: from, initial_events_end: initial && bookmarks, bookmarks, timeout })
    }
}

/// Validates the combination of options (`meta/internalversion/validation`).
fn check(params: &Params, watch: bool) -> Result<(), Status> {
    let causes = if watch { watch_errors(params) } else { list_errors(params) };
    if causes.is_empty() { Ok(()) } else { Err(invalid(causes)) }
}

const VERSION_MATCH: &str = "resourceVersionMatch";

fn list_errors(params: &Params) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(found) = params.get(VERSION_MATCH) {
        let revision = params.get("resourceVersion");
        if revision.is_none() {
            causes
                .push(forbidden(VERSION_MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        if params.get("continue").is_some() {
            causes.push(forbidden(VERSION_MATCH, "resourceVersionMatch is forbidden when continue is provided"));
        }
        causes.extend(unsupported_match(found, &["Exact", "NotOlderThan", ""]));
        if found == "Exact" && revision == Some("0") {
            let message = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            causes.push(forbidden(VERSION_MATCH, message));
        }
    }
    if params.get("sendInitialEvents").is_some() {
        causes.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    causes
}

fn watch_errors(params: &Params) -> Vec<Cause> {
    let mut causes = Vec::new();
    let initial = params.get("sendInitialEvents").is_some();
    let found = params.get(VERSION_MATCH);
    if initial && found != Some("NotOlderThan") {
        causes
            .push(forbidden(VERSION_MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
    }
    if let Some(found) = found {
        if !initial {
            let message = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            causes.push(forbidden(VERSION_MATCH, message));
        }
        causes.extend(unsupported_match(found, &["NotOlderThan"]));
        if params.get("continue").is_some() {
            causes.push(forbidden(VERSION_MATCH, "resourceVersionMatch is forbidden when continue is provided"));
        }
    }
    causes
}

/// Returns an error unless the value of `resourceVersionMatch` is supported.
fn unsupported_match(found: &str, supported: &[&str]) -> Option<Cause> {
    let names: Vec<String> = supported.iter().map(|name| format!("{name:?}")).collect();
    let message = format!("Unsupported value: {found:?}: supported values: {}", names.join(", "));
    let cause = || Cause { field: VERSION_MATCH.into(), reason: "FieldValueNotSupported", message };
    (!supported.contains(&found)).then(cause)
}

fn forbidden(field: &str, message: &str) -> Cause {
    Cause { field: field.into(), reason: "FieldValueForbidden", message: format!("Forbidden: {message}") }
}

fn invalid(causes: Vec<Cause>) -> Status {
    Status::invalid("ListOptions.meta.k8s.io", "", causes)
}

/// Parses `resourceVersion`. Kubernetes responds with 500 to an invalid number; 400 is right.
pub fn parse_revision(params: &Params) -> Result<Option<Revision>, Status> {
    let Some(text) = params.get("resourceVersion") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let message = format!("resourceVersion: Invalid value: {text:?}: must be one from an earlier response");
        Status::new(Reason::BadRequest, message)
    })
}

/// Parses `timeoutSeconds`.
fn parse_timeout(params: &Params) -> Result<Option<u64>, Status> {
    Ok(parse_integer(params, "timeoutSeconds")?
        .and_then(|seconds| u64::try_from(seconds).ok())
        .filter(|seconds| *seconds > 0))
}

fn parse_integer(params: &Params, name: &str) -> Result<Option<i64>, Status> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let invalid =
        |_| Status::new(Reason::BadRequest, format!("{name}: Invalid value: {text:?}: must be a whole number"));
    text.parse().map(Some).map_err(invalid)
}

/// Returns the error 504 for a revision that does not exist yet.
pub fn revision_too_large(requested: Revision, current: Revision) -> Status {
    let message = "Too large resource version";
    let cause = Cause { field: String::new(), reason: "ResourceVersionTooLarge", message: message.into() };
    let message = format!("Timeout: {message}: {requested}, current: {current}");
    Status::new(Reason::Timeout, message).with_retry_after(1).with_causes(vec![cause])
}

/// Like Go's decoder, ignores trailing bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// The JSON content of a continue token.
#[derive(Serialize, Deserialize)]
struct TokenPayload {
    v: String,
    rv: Revision,
    start: String,
}

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

impl ContinueToken {
    /// Encodes the token for clients.
    pub fn encode(&self) -> String {
        let start = format!("{}/{}\0", self.after.0, self.after.1);
        let token = TokenPayload { v: TOKEN_VERSION.into(), rv: self.revision, start };
        BASE64.encode(serde_json::to_string(&token).unwrap_or_default())
    }

    /// Decodes a client's token.
    fn decode(token: &str) -> Result<ContinueToken, Status> {
        let invalid = |reason: String| {
            Status::new(Reason::BadRequest, format!("invalid continue token: continue key is not valid: {reason}"))
        };
        let decoded = BASE64.decode(token.trim_end_matches('='));
        let decoded = decoded.map_err(|_| invalid("it is not valid base64".into()))?;
        let payload: TokenPayload = serde_json::from_slice(&decoded).map_err(|_| match decoded.first() {
            Some(first) if *first != b'{' => {
                invalid(format!("invalid character '{}' looking for beginning of value", char::from(*first)))
            }
            _ => invalid("it was not issued by this server".into()),
        })?;
        let position = payload.start.strip_suffix('\0').and_then(|start| start.split_once('/'));
        match position {
            Some((namespace, name)) if payload.v == TOKEN_VERSION => {
                Ok(ContinueToken { revision: payload.rv, after: (namespace.into(), name.into()) })
            }
            _ => Err(invalid("it was not issued by this server".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &str) -> Result<ListOptions, String> {
        ListOptions::parse(&Params::parse(Some(query))).map_err(|status| status.message)
    }

    #[test]
    fn list_options_determine_the_revision() {
        for (query, freshness) in [
            ("", Freshness::Latest),
            ("resourceVersion=0", Freshness::Latest),
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
    fn contradictory_options_are_rejected() {
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
            ("resourceVersion=abc", "must be one from an earlier response"),
            ("limit=many", "must be a whole number"),
            ("continue=zzz", "invalid character 'Ï' looking for beginning of value"),
            ("continue=!", "it is not valid base64"),
            ("continue=e30", "it was not issued by this server"),
        ] {
            let refused = list(query).expect_err(query);
            assert!(refused.contains(message), "{query}: {refused}");
        }
        let watch = |query: &str| WatchOptions::parse(&Params::parse(Some(query)));
        let (needs_match, needs_initial) =
            ("Forbidden: sendInitialEvents requires", "Forbidden: resourceVersionMatch is forbidden for");
        let unsupported = "Unsupported value: \"Exact\": supported values: \"NotOlderThan\"";
        for (query, causes) in [
            ("sendInitialEvents=true", &[needs_match][..]),
            ("resourceVersionMatch=NotOlderThan", &[needs_initial]),
            ("resourceVersionMatch=Exact", &[needs_initial, unsupported]),
            ("sendInitialEvents=true&resourceVersionMatch=Exact", &[needs_match, unsupported]),
        ] {
            let refused = watch(query).expect_err(query);
            let messages: Vec<&str> = refused.causes.iter().map(|cause| cause.message.as_str()).collect();
            let same = messages.len() == causes.len()
                && messages.iter().zip(causes).all(|(message, cause)| message.starts_with(cause));
            assert!(same, "{query}: {messages:?}");
        }
        let unmarked = watch("sendInitialEvents=true&resourceVersionMatch=NotOlderThan").expect("a watch");
        assert!(!unmarked.initial_events_end, "bookmarks are sent only on request");
        assert_eq!(watch("resourceVersion=7").map(|o| o.after), Ok(Some(7)));
    }

    #[test]
    fn continue_token_round_trips() {
        let token = ContinueToken { revision: 9, after: ("ns".into(), "b".into()) };
        let options = list(&format!("continue={}&limit=2", token.encode())).expect("options");
        assert_eq!(options.continue_from, Some(token));
    }
}
