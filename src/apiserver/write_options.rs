//! What a client wants of a change: `CreateOptions`, `UpdateOptions`, `PatchOptions` and `DeleteOptions` of
//! `meta/v1`, checked in Kubernetes' words.

use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::body;
use super::request::Params;
use crate::control::{Cause, DeleteOptions, Preconditions, Reason, Status};
use crate::model::go;

/// What becomes of fields that the kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    /// They are dropped.
    Ignore,
    /// They are dropped, and the client is told.
    Warn,
    /// The request is refused.
    Strict,
}

/// What a client wants of a new or changed object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// Whether it only wants to know what would be.
    pub dry_run: bool,
    /// What becomes of unknown fields.
    pub validation: Validation,
}

/// Of longer names of field managers Kubernetes knows nothing.
const LONGEST_MANAGER: usize = 128;

impl WriteOptions {
    /// Reads and checks the parameters; `kind` is what they are: `CreateOptions`.
    pub fn of(kind: &str, params: &Params) -> Result<WriteOptions, Status> {
        let mut causes = Vec::new();
        if kind == "PatchOptions" && params.get("force").is_some() {
            let message = "Forbidden: may not be specified for non-apply patch".into();
            causes.push(Cause { field: "force".into(), reason: "FieldValueForbidden", message });
        }
        check_manager(params.get("fieldManager").unwrap_or_default(), &mut causes);
        let dry_run = dry_run(&params.all("dryRun").collect::<Vec<_>>(), &mut causes);
        let validation = match params.get("fieldValidation") {
            Some("Ignore") => Validation::Ignore,
            None | Some("Warn") => Validation::Warn,
            Some("Strict") => Validation::Strict,
            Some(other) => {
                causes.push(not_supported("fieldValidation", other, r#""", "Ignore", "Strict", "Warn""#));
                Validation::Warn
            }
        };
        if causes.is_empty() { Ok(WriteOptions { dry_run, validation }) } else { Err(invalid(kind, causes)) }
    }
}

/// How to delete, and whether to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteRequest {
    /// How.
    pub options: DeleteOptions,
    /// Whether the client only wants to know what would be.
    pub dry_run: bool,
}

impl DeleteRequest {
    /// Reads and checks the options in the body, or the parameters where there is none.
    pub async fn of(params: &Params, media: Option<&str>, text: &Bytes) -> Result<DeleteRequest, Status> {
        let options = if text.trim_ascii().is_empty() { of_params(params)? } else { of_body(media, text).await? };
        let mut causes = Vec::new();
        // Pods own nothing that lives on without them: any policy that Kubernetes knows will do.
        if let Some(policy) = options.propagation_policy.as_deref() {
            if options.orphan_dependents.is_some() {
                let why = "orphanDependents and deletionPropagation cannot be both set";
                let message = format!("Invalid value: {policy:?}: {why}");
                causes.push(Cause { field: "propagationPolicy".into(), reason: "FieldValueInvalid", message });
            }
            if !["Foreground", "Background", "Orphan"].contains(&policy) {
                let supported = r#""Foreground", "Background", "Orphan", "nil""#;
                causes.push(not_supported("propagationPolicy", policy, supported));
            }
        }
        let asked = match &options.dry_run {
            Some(asked) => asked.iter().map(String::as_str).collect(),
            None => params.all("dryRun").collect::<Vec<_>>(),
        };
        let dry_run = dry_run(&asked, &mut causes);
        if !causes.is_empty() {
            return Err(invalid("DeleteOptions", causes));
        }
        let wanted = options.preconditions.unwrap_or_default();
        let preconditions = Preconditions { uid: wanted.uid, revision: wanted.resource_version };
        let options = DeleteOptions { grace_seconds: options.grace_period_seconds, preconditions };
        Ok(DeleteRequest { options, dry_run })
    }
}

fn of_params(params: &Params) -> Result<meta::DeleteOptions, Status> {
    let wrong = |name: &str, text: &str, wanted: &str| {
        Status::new(Reason::BadRequest, format!("{name}: Invalid value: {text:?}: must be {wanted}"))
    };
    let grace = params
        .get("gracePeriodSeconds")
        .map(|text| text.parse().map_err(|_| wrong("gracePeriodSeconds", text, "a whole number")));
    let orphan = params
        .get("orphanDependents")
        .map(|text| text.parse().map_err(|_| wrong("orphanDependents", text, "true or false")));
    Ok(meta::DeleteOptions {
        grace_period_seconds: grace.transpose()?,
        orphan_dependents: orphan.transpose()?,
        propagation_policy: params.get("propagationPolicy").map(Into::into),
        ..meta::DeleteOptions::default()
    })
}

async fn of_body(media: Option<&str>, text: &Bytes) -> Result<meta::DeleteOptions, Status> {
    // Every group has them under its own version.
    let versions = ["v1", "meta.k8s.io/v1", "policy/v1"];
    body::object_of_any(&versions, "DeleteOptions", body::notation(media)?, text).await.map(|sent| sent.object)
}

/// A name of whoever manages fields; none is fine.
fn check_manager(manager: &str, causes: &mut Vec<Cause>) {
    let field = || "fieldManager".to_string();
    if manager.len() > LONGEST_MANAGER {
        let message = format!("Too long: may not be more than {LONGEST_MANAGER} bytes");
        causes.push(Cause { field: field(), reason: "FieldValueTooLong", message });
    }
    for (at, c) in manager.char_indices().filter(|(_, c)| !go::is_printable(*c)) {
        let why = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
        let message = format!("Invalid value: {}: {why}", go::quoted(manager));
        causes.push(Cause { field: field(), reason: "FieldValueInvalid", message });
    }
}

/// Whether the values of `dryRun` say so; the one that there is, is `All`.
fn dry_run(asked: &[&str], causes: &mut Vec<Cause>) -> bool {
    if asked.iter().any(|asked| *asked != "All") {
        let shown = serde_json::to_string(asked).unwrap_or_default();
        let message = format!("Unsupported value: {shown}: supported values: \"All\"");
        causes.push(Cause { field: "dryRun".into(), reason: "FieldValueNotSupported", message });
    }
    !asked.is_empty()
}

fn not_supported(field: &str, value: &str, supported: &str) -> Cause {
    let message = format!("Unsupported value: {value:?}: supported values: {supported}");
    Cause { field: field.into(), reason: "FieldValueNotSupported", message }
}

fn invalid(kind: &str, causes: Vec<Cause>) -> Status {
    Status::invalid(&format!("{kind}.meta.k8s.io"), "", causes).with_group("meta.k8s.io").with_details(kind, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_changes_are_read_and_checked() {
        let of = |query: &str| WriteOptions::of("PatchOptions", &Params::of(Some(query)));
        for (query, dry_run, validation) in [
            ("", false, Validation::Warn),
            ("dryRun=All&fieldValidation=Strict&fieldManager=kubectl", true, Validation::Strict),
            ("fieldValidation=Ignore", false, Validation::Ignore),
        ] {
            assert_eq!(of(query), Ok(WriteOptions { dry_run, validation }), "{query}");
        }
        for (query, words) in [
            ("dryRun=Some", "dryRun: Unsupported value: [\"Some\"]: supported values: \"All\""),
            ("dryRun=All&dryRun=Foo", "dryRun: Unsupported value: [\"All\",\"Foo\"]: supported values: \"All\""),
            ("dryRun=", "dryRun: Unsupported value: [\"\"]: supported values: \"All\""),
            ("fieldManager=a%0Ab", "fieldManager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1)"),
            (
                "fieldValidation=X&dryRun=Y&fieldManager=%00",
                "is invalid: [fieldManager: Invalid value: \"\\x00\": invalid character U+0000 (at position 0), dryRun: ",
            ),
            ("fieldValidation=X", "supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""),
            ("force=true", "force: Forbidden: may not be specified for non-apply patch"),
            (&format!("fieldManager={}", "x".repeat(129)), "fieldManager: Too long: may not be more than 128 bytes"),
        ] {
            let refused = of(query).expect_err(query);
            assert!(refused.message.contains(words), "{query}: {refused}");
        }
    }

    #[tokio::test]
    async fn options_of_deletions_come_in_the_body_or_the_parameters() {
        let options = |grace_seconds, uid: Option<&str>, revision: Option<&str>| {
            let preconditions = Preconditions { uid: uid.map(Into::into), revision: revision.map(Into::into) };
            DeleteOptions { grace_seconds, preconditions }
        };
        for (query, body, want, dry) in [
            ("", "", options(None, None, None), false),
            ("gracePeriodSeconds=5&propagationPolicy=Background&dryRun=All", "", options(Some(5), None, None), true),
            (
                "",
                r#"{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0}"#,
                options(Some(0), None, None),
                false,
            ),
            (
                "gracePeriodSeconds=5",
                r#"{"apiVersion":"meta.k8s.io/v1","dryRun":["All"],"preconditions":{"uid":"u","resourceVersion":"7"}}"#,
                options(None, Some("u"), Some("7")),
                true,
            ),
        ] {
            let params = Params::of(Some(query));
            let read = DeleteRequest::of(&params, None, &Bytes::copy_from_slice(body.as_bytes())).await;
            assert_eq!(read, Ok(DeleteRequest { options: want, dry_run: dry }), "{query} {body}");
        }
        for (query, body, code) in [
            ("gracePeriodSeconds=soon", "", 400),
            ("propagationPolicy=Sideways", "", 422),
            ("orphanDependents=true&propagationPolicy=Orphan", "", 422),
            ("dryRun=All&dryRun=", "", 422),
            ("", "{\"dryRun\": [\"Some\"]}", 422),
            ("", "{\"kind\": \"Pod\"}", 400),
            ("", "[", 400),
        ] {
            let params = Params::of(Some(query));
            let read = DeleteRequest::of(&params, None, &Bytes::copy_from_slice(body.as_bytes())).await;
            assert_eq!(read.expect_err(query).reason.code(), code, "{query} {body}");
        }
        let params = Params::of(Some("orphanDependents=true&propagationPolicy=X&dryRun=Y"));
        let refused = DeleteRequest::of(&params, None, &Bytes::new()).await.expect_err("three faults");
        let told: Vec<_> = refused.causes.iter().map(|cause| (cause.field.as_str(), cause.reason)).collect();
        let (policy, unknown) = ("propagationPolicy", "FieldValueNotSupported");
        assert_eq!(told, [(policy, "FieldValueInvalid"), (policy, unknown), ("dryRun", unknown)]);
    }
}
