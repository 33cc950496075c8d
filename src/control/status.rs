//! A refusal, as Kubernetes words it: `v1.Status` of `meta/v1`.

use std::fmt;

use serde::{Serialize, Serializer};

/// The machine-readable reason; clients act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Reason {
    /// An object of this name is there already.
    AlreadyExists,
    /// The request can't be understood.
    BadRequest,
    /// The object's state or the request's preconditions forbid the change.
    Conflict,
    /// The history no longer reaches back to the revision asked for: list again.
    Expired,
    /// Understood, and not allowed, by admission or by what the client may do.
    Forbidden,
    /// A fault of wasmpod's own.
    InternalError,
    /// The object breaks rules; the causes tell which.
    Invalid,
    /// The resource has no such verb.
    MethodNotAllowed,
    /// No representation that the client takes.
    NotAcceptable,
    /// There is no such object, or no such resource.
    NotFound,
    /// It can't be had in time; try again.
    Timeout,
    /// The body is larger than is read.
    RequestEntityTooLarge,
    /// Too much is asked for at once, or a disruption budget is used up; try again.
    TooManyRequests,
    /// Nobody who is known here.
    Unauthorized,
    /// The body is of a type that is not understood.
    UnsupportedMediaType,
}

impl Reason {
    /// The HTTP code that goes with it.
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
            Reason::Timeout => 504,
        }
    }
}

/// One fault of an object: its field, a reason and the words behind the field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// `FieldValueRequired`
    pub reason: &'static str,
    /// `Required value`
    pub message: String,
    /// `spec.containers[0].name`; empty for a cause that is no field's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// What a refusal is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The object's name; empty for none.
    pub name: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource (`pods`), or the kind (`Pod`) where the object itself is at fault; empty for none.
    pub kind: String,
    /// When a client may try again.
    pub retry_after_seconds: Option<u32>,
}

/// Why a request was refused. Serializes as `v1.Status`, its fields in Kubernetes' order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// What clients act on.
    pub reason: Reason,
    /// The refusal in words, with all causes.
    pub message: String,
    /// Every fault of the object; empty but for [`Reason::Invalid`] and [`Reason::Timeout`].
    pub causes: Vec<Cause>,
    /// What it is about. Kubernetes tells apart nothing (`None`) and nothing in particular (empty details).
    pub details: Option<Box<Details>>,
}

impl Status {
    /// A refusal about nothing in particular.
    pub fn new(reason: Reason, message: impl Into<String>) -> Status {
        Status { reason, message: message.into(), causes: Vec::new(), details: None }
    }

    /// The refusal with empty details, as Kubernetes answers where no resource was reached.
    pub fn without_object(reason: Reason, message: impl Into<String>) -> Status {
        Status { details: Some(Box::default()), ..Status::new(reason, message) }
    }

    /// The refusal, told to be about `name` of `kind`.
    #[must_use]
    pub fn about(mut self, kind: &str, name: &str) -> Status {
        let details = self.details.get_or_insert_default();
        details.kind = kind.into();
        details.name = name.into();
        self
    }

    /// The refusal, told to be about a kind of API group `group`.
    #[must_use]
    pub fn in_group(mut self, group: &str) -> Status {
        self.details.get_or_insert_default().group = group.into();
        self
    }

    /// The refusal, with the time after which to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Status {
        self.details.get_or_insert_default().retry_after_seconds = Some(seconds);
        self
    }

    /// The refusal for these causes; its message stays.
    #[must_use]
    pub fn because(mut self, causes: Vec<Cause>) -> Status {
        self.causes = causes;
        self
    }

    /// 422: the object breaks rules. `causes` is not empty.
    pub fn invalid(kind: &str, name: &str, causes: Vec<Cause>) -> Status {
        let mut all: Vec<String> = Vec::new();
        for cause in causes.iter().map(Cause::to_string) {
            // A fault that several rules found is one in words; the causes keep all.
            if !all.contains(&cause) {
                all.push(cause);
            }
        }
        let faults = match all.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{kind} {name:?} is invalid: {faults}");
        Status::new(Reason::Invalid, message).about(kind, name).because(causes)
    }

    /// 404: there is no `name` among `resource`.
    pub fn not_found(resource: &str, name: &str) -> Status {
        Status::new(Reason::NotFound, format!("{resource} {name:?} not found")).about(resource, name)
    }

    /// 409: there is a `name` among `resource` already.
    pub fn already_exists(resource: &str, name: &str) -> Status {
        Status::new(Reason::AlreadyExists, format!("{resource} {name:?} already exists")).about(resource, name)
    }

    /// 409: `why` the object can't be changed so.
    pub fn conflict(resource: &str, name: &str, why: impl fmt::Display) -> Status {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {why}");
        Status::new(Reason::Conflict, message).about(resource, name)
    }

    /// 403: `why` it is not allowed.
    pub fn forbidden(resource: &str, name: &str, why: impl fmt::Display) -> Status {
        let message = format!("{resource} {name:?} is forbidden: {why}");
        Status::new(Reason::Forbidden, message).about(resource, name)
    }

    /// A fault of our own.
    pub fn internal(error: impl fmt::Display) -> Status {
        Status::new(Reason::InternalError, format!("internal error: {error}"))
    }
}

/// `v1.Status` on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'s> {
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
        let wire = Wire {
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
    fn a_refusal_is_written_as_kubernetes_writes_it() {
        for (status, want) in [
            (
                Status::new(Reason::BadRequest, "no"),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","reason":"BadRequest","code":400}"#,
            ),
            (
                Status::without_object(Reason::MethodNotAllowed, "no"),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","reason":"MethodNotAllowed","details":{},"code":405}"#,
            ),
            (
                Status::not_found("pods", "a"),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \"a\" not found","reason":"NotFound","details":{"name":"a","kind":"pods"},"code":404}"#,
            ),
            (
                Status::new(Reason::Timeout, "late").retry_after(1).because(vec![Cause {
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
    fn a_fault_found_twice_is_told_once_in_words() {
        let cause =
            |message: &str| Cause { field: "spec".into(), reason: "FieldValueInvalid", message: message.into() };
        let status = Status::invalid("Pod", "p", vec![cause("a"), cause("a"), cause("b")]);
        assert_eq!(status.message, "Pod \"p\" is invalid: [spec: a, spec: b]");
        assert_eq!(status.causes.len(), 3);
    }
}
