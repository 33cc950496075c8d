//! API errors as Kubernetes reports them: `Status` of `meta/v1`.

use std::collections::HashSet;
use std::fmt;

use serde::{Serialize, Serializer};

/// The machine-readable reason; clients act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Reason {
    /// An object of this name exists already.
    AlreadyExists,
    /// The request is malformed.
    BadRequest,
    /// The object's state or the request's preconditions forbid the change.
    Conflict,
    /// The requested revision has left the store's history; the client must list again.
    Expired,
    /// Admission or the client's permissions forbid the request.
    Forbidden,
    /// What the request changes cannot be stored.
    InsufficientStorage,
    /// An error inside wasmpod.
    InternalError,
    /// The object is not valid; the causes name the fields.
    Invalid,
    /// The resource does not support the verb.
    MethodNotAllowed,
    /// The server has no representation that the client accepts.
    NotAcceptable,
    /// The object or the resource does not exist.
    NotFound,
    /// A server behind this one cannot be reached.
    ServiceUnavailable,
    /// The request took too long; the client may retry.
    Timeout,
    /// The body exceeds the size limit.
    RequestEntityTooLarge,
    /// A rate limit or a disruption budget is exhausted; the client may retry.
    TooManyRequests,
    /// The client is not authenticated.
    Unauthorized,
    /// The body's media type is not supported.
    UnsupportedMediaType,
}

impl Reason {
    /// Returns the HTTP status code.
    pub fn code(self) -> u16 {
        match self {
            Reason::BadRequest => 400,
            Reason::Unauthorized => 401,
            Reason::Forbidden => 403,
            Reason::NotFound => 404,
            Reason::MethodNotAllowed => 405,
            Reason::NotAcceptable => 406,
            Reason::AlreadyExists | Reason::Conflict => 409,
            Reason::Expired => 410,
            Reason::RequestEntityTooLarge => 413,
            Reason::UnsupportedMediaType => 415,
            Reason::Invalid => 422,
            Reason::TooManyRequests => 429,
            Reason::InternalError => 500,
            Reason::ServiceUnavailable => 503,
            Reason::Timeout => 504,
            Reason::InsufficientStorage => 507,
        }
    }
}

/// One validation error: a field, a reason and a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The machine-readable reason: `FieldValueRequired`.
    pub reason: &'static str,
    /// The message: `Required value`.
    pub message: String,
    /// The field's path: `spec.containers[0].name`; empty if the cause concerns no field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// The object that an error concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The object's name; may be empty.
    pub name: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource (`pods`), or for a validation error the kind (`Pod`); may be empty.
    pub kind: String,
    /// Seconds after which the client may retry.
    pub retry_after_seconds: Option<u32>,
}

/// The error of a rejected request. Serializes as `v1.Status` with its fields in Kubernetes' order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The machine-readable reason.
    pub reason: Reason,
    /// The message for people, including all causes.
    pub message: String,
    /// The causes; empty except for [`Reason::Invalid`] and [`Reason::Timeout`].
    pub causes: Vec<Cause>,
    /// The object concerned. Kubernetes distinguishes missing details (`None`) from empty ones.
    pub details: Option<Box<Details>>,
}

impl Status {
    /// Creates an error without details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Status {
        Status { reason, message: message.into(), causes: Vec::new(), details: None }
    }

    /// Creates an error with empty details, as Kubernetes answers when a request reaches no resource.
    pub fn with_empty_details(reason: Reason, message: impl Into<String>) -> Status {
        Status { details: Some(Box::default()), ..Status::new(reason, message) }
    }

    /// Sets kind and name of the object concerned; its group may follow the kind: `deployments.apps`.
    #[must_use]
    pub fn with_details(mut self, kind: &str, name: &str) -> Status {
        let details = self.details.get_or_insert_default();
        let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
        (details.kind, details.group, details.name) = (kind.into(), group.into(), name.into());
        self
    }

    /// Sets the time after which the client may retry.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Status {
        self.details.get_or_insert_default().retry_after_seconds = Some(seconds);
        self
    }

    /// Sets the causes and keeps the message.
    #[must_use]
    pub fn with_causes(mut self, causes: Vec<Cause>) -> Status {
        self.causes = causes;
        self
    }

    /// Creates a 422: the object is not valid. `causes` is not empty.
    pub fn invalid(kind: &str, name: &str, causes: Vec<Cause>) -> Status {
        // The message mentions an error once, however many rules report it; the causes keep all.
        let mut known = HashSet::new();
        let messages = causes.iter().map(Cause::to_string);
        let messages: Vec<String> = messages.filter(|message| known.insert(message.clone())).collect();
        let errors = match messages.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{kind} {name:?} is invalid: {errors}");
        Status::new(Reason::Invalid, message).with_details(kind, name).with_causes(causes)
    }

    /// Creates a 404: `resource` has no object `name`.
    pub fn not_found(resource: &str, name: &str) -> Status {
        Status::new(Reason::NotFound, format!("{resource} {name:?} not found")).with_details(resource, name)
    }

    /// Creates a 409: `resource` has an object `name` already.
    pub fn already_exists(resource: &str, name: &str) -> Status {
        Status::new(Reason::AlreadyExists, format!("{resource} {name:?} already exists")).with_details(resource, name)
    }

    /// Creates a 409: the object's state forbids the change.
    pub fn conflict(resource: &str, name: &str, reason: impl fmt::Display) -> Status {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {reason}");
        Status::new(Reason::Conflict, message).with_details(resource, name)
    }

    /// Creates a 403: the request is not allowed.
    pub fn forbidden(resource: &str, name: &str, reason: impl fmt::Display) -> Status {
        let message = format!("{resource} {name:?} is forbidden: {reason}");
        Status::new(Reason::Forbidden, message).with_details(resource, name)
    }

    /// Creates a 500: an error inside wasmpod.
    pub fn internal(error: impl fmt::Display) -> Status {
        Status::new(Reason::InternalError, format!("Internal error occurred: {error}"))
    }
}

/// The JSON form of [`Status`].
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus<'s> {
    kind: &'static str,
    api_version: &'static str,
    metadata: WireMetadata,
    status: &'static str,
    message: &'s str,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<WireDetails<'s>>,
    code: u16,
}

#[derive(Serialize)]
struct WireMetadata {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireDetails<'s> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'s str,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'s str,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'s str,
    #[serde(skip_serializing_if = "<[Cause]>::is_empty")]
    causes: &'s [Cause],
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let details = self.details.as_ref().map(|details| WireDetails {
            name: &details.name,
            group: &details.group,
            kind: &details.kind,
            causes: &self.causes,
            retry_after_seconds: details.retry_after_seconds,
        });
        let wire = WireStatus {
            kind: "Status",
            api_version: "v1",
            metadata: WireMetadata {},
            status: "Failure",
            message: &self.message,
            reason: self.reason,
            details,
            code: self.reason.code(),
        };
        wire.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(status: &Status) -> String {
        serde_json::to_string(status).expect("a status encodes")
    }

    #[test]
    fn status_serializes_as_kubernetes_writes_it() {
        for (status, want) in [
            (
                Status::new(Reason::BadRequest, "no"),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","reason":"BadRequest","code":400}"#,
            ),
            (
                Status::with_empty_details(Reason::MethodNotAllowed, "no"),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","reason":"MethodNotAllowed","details":{},"code":405}"#,
            ),
            (
                Status::not_found("pods", "a"),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \"a\" not found","reason":"NotFound","details":{"name":"a","kind":"pods"},"code":404}"#,
            ),
            (
                Status::internal("no"),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Internal error occurred: no","reason":"InternalError","code":500}"#,
            ),
            (
                Status::new(Reason::Timeout, "late").with_retry_after(1).with_causes(vec![Cause {
                    field: String::new(),
                    reason: "ResourceVersionTooLarge",
                    message: "Too large resource version".into(),
                }]),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"late","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1},"code":504}"#,
            ),
        ] {
            assert_eq!(json(&status), want);
        }
    }

    #[test]
    fn message_mentions_a_repeated_cause_once() {
        let cause =
            |message: &str| Cause { field: "spec".into(), reason: "FieldValueInvalid", message: message.into() };
        let status = Status::invalid("Pod", "p", vec![cause("a"), cause("a"), cause("b")]);
        assert_eq!(status.message, "Pod \"p\" is invalid: [spec: a, spec: b]");
        assert_eq!(status.causes.len(), 3);
    }
}
