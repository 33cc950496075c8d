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
        if initial && !bookmarks {
            let message = "Forbidden: sendInitialEvents requires setting allowWatchBookmarks to true";
            return Err(invalid(vec![forbidden("sendInitialEvents", message)]));
        }
        let from = revision(params)?.filter(|revision| *revision > 0 && !initial);
        let asked = number(params, "timeoutSeconds")?.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0);
        let timeout = asked.map_or(WATCH_TIMEOUT, Duration::from_secs);
        Ok(WatchOptions { from, mark_initial_end: initial, bookmarks, timeout })
    }
}

/// The rules that `ListOptions` as a whole obey (`meta/internalversion/validation`).
fn check(params: &Params, watch: bool) -> Result<(), Status> {
    let initial = params.get("sendInitialEvents").is_some();
    let revision = params.get("resourceVersion");
    let found = params.get("resourceVersionMatch");
    let rule = |message: &str| Err(invalid(vec![forbidden("resourceVersionMatch", message)]));
    if watch {
        match (initial, found) {
            (true, Some("NotOlderThan")) | (false, None) => return Ok(()),
            (true, _) => {
                return rule("Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
            }
            (false, Some(_)) => {
                return rule(
                    "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                );
            }
        }
    }
    if let Some(found) = found {
        if revision.is_none() {
            return rule("Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if params.get("continue").is_some() {
            return rule("Forbidden: resourceVersionMatch is forbidden when continue is provided");
        }
        if !["Exact", "NotOlderThan"].contains(&found) {
            let message = format!("Unsupported value: {found:?}: supported values: \"Exact\", \"NotOlderThan\"");
            let field = "resourceVersionMatch".into();
            return Err(invalid(vec![Cause { field, reason: "FieldValueNotSupported", message }]));
        }
        if found == "Exact" && revision == Some("0") {
            return rule("Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
    }
    if initial {
        let message = "Forbidden: sendInitialEvents is forbidden for list";
        return Err(invalid(vec![forbidden("sendInitialEvents", message)]));
    }
    Ok(())
}

fn forbidden(field: &str, message: &str) -> Cause {
    Cause { field: field.into(), reason: "FieldValueForbidden", message: message.into() }
}

fn invalid(causes: Vec<Cause>) -> Status {
    Status::invalid("ListOptions.meta.k8s.io", "", causes).in_group("meta.k8s.io").about("ListOptions", "")
}

/// A real server answers 500 to what is no number; it is the request that is bad.
fn revision(params: &Params) -> Result<Option<Revision>, Status> {
    let Some(text) = params.get("resourceVersion") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let message = format!("resourceVersion: Invalid value: {text:?}: must be one that an earlier answer told");
        Status::new(Reason::BadRequest, message)
    })
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
    Status::new(Reason::Timeout, message).retry_after(1).because(vec![cause])
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
            ("resourceVersion=1&resourceVersionMatch=Best", "supported values: \"Exact\", \"NotOlderThan\""),
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
        for query in [
            "sendInitialEvents=true",
            "resourceVersionMatch=NotOlderThan",
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
        ] {
            assert_eq!(watch(query).expect_err(query).reason, Reason::Invalid, "{query}");
        }
        assert_eq!(watch("resourceVersion=7").map(|o| o.from), Ok(Some(7)));
    }

    #[test]
    fn a_continue_token_leads_back_to_its_place() {
        let place = Continue { revision: 9, after: ("ns".into(), "b".into()) };
        let options = list(&format!("continue={}&limit=2", place.token())).expect("options");
        assert_eq!(options.start, Some(place));
    }
}
