//! Options of writes: `CreateOptions`, `UpdateOptions`, `PatchOptions` and `DeleteOptions` of `meta/v1`, validated
//! with Kubernetes' messages.

use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::body;
use super::request::Params;
use crate::control::{Cause, DeleteOptions, Preconditions, Propagation, Reason, Status};
use crate::model::go;

/// Treatment of unknown and duplicate fields (`fieldValidation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidationMode {
    /// Drop them.
    Ignore,
    /// Drop them and warn the client.
    Warn,
    /// Reject the request.
    Strict,
}

/// Validated options of a create, update or patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// Whether to store nothing.
    pub dry_run: bool,
    /// Treatment of unknown fields.
    pub field_validation: FieldValidationMode,
}

/// Maximum length of a field manager's name.
const MAX_FIELD_MANAGER_BYTES: usize = 128;

impl WriteOptions {
    /// Parses and validates the parameters as `kind`, such as `CreateOptions`.
    pub fn parse(kind: &str, params: &Params) -> Result<WriteOptions, Status> {
        let mut causes = Vec::new();
        if kind == "PatchOptions" && params.get("force").is_some() {
            let message = "Forbidden: may not be specified for non-apply patch".into();
            causes.push(Cause { field: "force".into(), reason: "FieldValueForbidden", message });
        }
        check_field_manager(params.get("fieldManager").unwrap_or_default(), &mut causes);
        let dry_run = parse_dry_run(&params.all("dryRun").collect::<Vec<_>>(), &mut causes);
        let validation = match params.get("fieldValidation") {
            Some("Ignore") => FieldValidationMode::Ignore,
            None | Some("Warn") => FieldValidationMode::Warn,
            Some("Strict") => FieldValidationMode::Strict,
            Some(other) => {
                causes.push(not_supported("fieldValidation", other, r#""", "Ignore", "Strict", "Warn""#));
                FieldValidationMode::Warn
            }
        };
        if causes.is_empty() {
            Ok(WriteOptions { dry_run, field_validation: validation })
        } else {
            Err(invalid(kind, causes))
        }
    }
}

/// Validated options of a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteRequest {
    /// Options for the control plane.
    pub options: DeleteOptions,
    /// Whether to delete nothing.
    pub dry_run: bool,
}

impl DeleteRequest {
    /// Parses and validates the options in the body, or the parameters if there is no body: with a body, no parameter
    /// counts.
    pub async fn parse(params: &Params, media: Option<&str>, text: &Bytes) -> Result<DeleteRequest, Status> {
        let options = if text.trim_ascii().is_empty() {
            options_from_params(params)?
        } else {
            options_from_body(media, text).await?
        };
        let mut causes = Vec::new();
        if let Some(policy) = options.propagation_policy.as_deref() {
            if options.orphan_dependents.is_some() {
                let reason = "orphanDependents and deletionPropagation cannot be both set";
                let message = format!("Invalid value: {policy:?}: {reason}");
                causes.push(Cause { field: "propagationPolicy".into(), reason: "FieldValueInvalid", message });
            }
            if !["Foreground", "Background", "Orphan"].contains(&policy) {
                let supported = r#""Foreground", "Background", "Orphan", "nil""#;
                causes.push(not_supported("propagationPolicy", policy, supported));
            }
        }
        let values = options.dry_run.iter().flatten().map(String::as_str);
        let dry_run = parse_dry_run(&values.collect::<Vec<_>>(), &mut causes);
        if !causes.is_empty() {
            return Err(invalid("DeleteOptions", causes));
        }
        let preconditions = options.preconditions.unwrap_or_default();
        let preconditions = Preconditions { uid: preconditions.uid, revision: preconditions.resource_version };
        let propagation = match (options.propagation_policy.as_deref(), options.orphan_dependents) {
            (Some("Foreground"), _) => Some(Propagation::Foreground),
            (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
            (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
            _ => None,
        };
        let options = DeleteOptions { grace_seconds: options.grace_period_seconds, propagation, preconditions };
        Ok(DeleteRequest { options, dry_run })
    }
}

fn options_from_params(params: &Params) -> Result<meta::DeleteOptions, Status> {
    let invalid = |name: &str, text: &str, expected: &str| {
        Status::new(Reason::BadRequest, format!("{name}: Invalid value: {text:?}: must be {expected}"))
    };
    let grace = params
        .get("gracePeriodSeconds")
        .map(|text| text.parse().map_err(|_| invalid("gracePeriodSeconds", text, "a whole number")));
    let orphan = params
        .get("orphanDependents")
        .map(|text| text.parse().map_err(|_| invalid("orphanDependents", text, "true or false")));
    Ok(meta::DeleteOptions {
        grace_period_seconds: grace.transpose()?,
        orphan_dependents: orphan.transpose()?,
        propagation_policy: params.get("propagationPolicy").map(Into::into),
        dry_run: Some(params.all("dryRun").map(Into::into).collect()),
        ..meta::DeleteOptions::default()
    })
}

async fn options_from_body(media: Option<&str>, body: &Bytes) -> Result<meta::DeleteOptions, Status> {
    // DeleteOptions exist in every group's version.
    let versions = ["v1", "meta.k8s.io/v1", "policy/v1"];
    body::decode_any_version(&versions, "DeleteOptions", body::format_of(media)?, body)
        .await
        .map(|decoded| decoded.object)
}

/// Checks the name of a field manager, which may be empty.
fn check_field_manager(manager: &str, causes: &mut Vec<Cause>) {
    let field = || "fieldManager".to_string();
    if manager.len() > MAX_FIELD_MANAGER_BYTES {
        let message = format!("Too long: may not be more than {MAX_FIELD_MANAGER_BYTES} bytes");
        causes.push(Cause { field: field(), reason: "FieldValueTooLong", message });
    }
    for (at, c) in manager.char_indices().filter(|(_, c)| !go::is_printable(*c)) {
        let reason = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
        let message = format!("Invalid value: {}: {reason}", go::quote(manager));
        causes.push(Cause { field: field(), reason: "FieldValueInvalid", message });
    }
}

/// Returns whether `dryRun` is set; its only valid value is `All`.
fn parse_dry_run(values: &[&str], causes: &mut Vec<Cause>) -> bool {
    if values.iter().any(|value| *value != "All") {
        let shown = serde_json::to_string(values).unwrap_or_default();
        let message = format!("Unsupported value: {shown}: supported values: \"All\"");
        causes.push(Cause { field: "dryRun".into(), reason: "FieldValueNotSupported", message });
    }
    !values.is_empty()
}

fn not_supported(field: &str, value: &str, supported: &str) -> Cause {
    let message = format!("Unsupported value: {value:?}: supported values: {supported}");
    Cause { field: field.into(), reason: "FieldValueNotSupported", message }
}

fn invalid(kind: &str, causes: Vec<Cause>) -> Status {
    Status::invalid(&format!("{kind}.meta.k8s.io"), "", causes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_options_are_parsed_and_validated() {
        let parse = |query: &str| WriteOptions::parse("PatchOptions", &Params::parse(Some(query)));
        for (query, dry_run, field_validation) in [
            ("", false, FieldValidationMode::Warn),
            ("dryRun=All&fieldValidation=Strict&fieldManager=kubectl", true, FieldValidationMode::Strict),
            ("fieldValidation=Ignore", false, FieldValidationMode::Ignore),
        ] {
            assert_eq!(parse(query), Ok(WriteOptions { dry_run, field_validation }), "{query}");
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
            let refused = parse(query).expect_err(query);
            assert!(refused.message.contains(words), "{query}: {refused}");
        }
    }

    #[tokio::test]
    async fn delete_options_come_from_body_or_parameters() {
        let options = |grace_seconds, uid: Option<&str>, revision: Option<&str>| {
            let preconditions = Preconditions { uid: uid.map(Into::into), revision: revision.map(Into::into) };
            DeleteOptions { grace_seconds, preconditions, propagation: None }
        };
        let background = DeleteOptions { propagation: Some(Propagation::Background), ..options(Some(5), None, None) };
        let orphan = "dryRun=All&gracePeriodSeconds=soon&orphanDependents=maybe&propagationPolicy=Orphan";
        for (query, body, want, dry) in [
            ("", "", options(None, None, None), false),
            (orphan, r#"{"kind":"DeleteOptions","apiVersion":"v1"}"#, options(None, None, None), false),
            (
                "dryRun=Some&propagationPolicy=Sideways",
                r#"{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":5,"propagationPolicy":"Background"}"#,
                background.clone(),
                false,
            ),
            ("gracePeriodSeconds=5&propagationPolicy=Background&dryRun=All", "", background, true),
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
            let params = Params::parse(Some(query));
            let read = DeleteRequest::parse(&params, None, &Bytes::copy_from_slice(body.as_bytes())).await;
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
            let params = Params::parse(Some(query));
            let read = DeleteRequest::parse(&params, None, &Bytes::copy_from_slice(body.as_bytes())).await;
            assert_eq!(read.expect_err(query).reason.code(), code, "{query} {body}");
        }
        let params = Params::parse(Some("orphanDependents=true&propagationPolicy=X&dryRun=Y"));
        let refused = DeleteRequest::parse(&params, None, &Bytes::new()).await.expect_err("three errors");
        let causes: Vec<_> = refused.causes.iter().map(|cause| (cause.field.as_str(), cause.reason)).collect();
        let (policy, unknown) = ("propagationPolicy", "FieldValueNotSupported");
        assert_eq!(causes, [(policy, "FieldValueInvalid"), (policy, unknown), ("dryRun", unknown)]);
    }
}
