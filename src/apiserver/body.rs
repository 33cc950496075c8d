//! Request bodies: collected within limits, and decoded into objects.

use std::time::Duration;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body::Body as _;
use serde::de::DeserializeOwned;

use super::scheme;
use super::served::ServedResource;
use crate::control::{Body, Reason, Status};
use crate::model::{BodyFormat, DecodeError, Decoded, TextFormat, decode_body};

/// Maximum size of a body, the same as in Kubernetes.
const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;
/// Maximum number of bytes to read of an oversized body. Up to this size it is read to its end, because a client may
/// miss a response that arrives while it is still sending.
const MAX_READ_BYTES: usize = 4 * MAX_BODY_BYTES;
/// Maximum time for a client to send its body.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Minimum size of a text that is decoded on the blocking thread pool.
const MIN_BLOCKING_BYTES: usize = 64 * 1024;
/// Minimum size of such a body in protobuf, in which a byte can stand for many of the text.
const MIN_BLOCKING_PROTOBUF_BYTES: usize = 8 * 1024;

/// Returns the body format of a media type; defaults to JSON.
pub fn format_of(media: Option<&str>) -> Result<BodyFormat, Status> {
    let name = media.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match name.as_str() {
        "" | "application/json" => Ok(BodyFormat::Text(TextFormat::Json)),
        "application/yaml" => Ok(BodyFormat::Text(TextFormat::Yaml)),
        "application/vnd.kubernetes.protobuf" => Ok(BodyFormat::Protobuf),
        _ => Err(Status::new(
            Reason::UnsupportedMediaType,
            "the body of the request was in an unknown format - accepted media types include: application/json, \
             application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

fn min_blocking_bytes(format: BodyFormat) -> usize {
    match format {
        BodyFormat::Text(_) => MIN_BLOCKING_BYTES,
        BodyFormat::Protobuf => MIN_BLOCKING_PROTOBUF_BYTES,
    }
}

/// Reads `body` to its end.
///
/// # Errors
/// Returns a `Status` if the body is too large, too late or broken off.
pub async fn collect(body: HttpBody) -> Result<Bytes, Status> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let late = |_| Status::new(Reason::Timeout, format!("the request body did not arrive within {READ_TIMEOUT:?}"));
    tokio::time::timeout(READ_TIMEOUT, collect_bounded(body)).await.map_err(late)?
}

async fn collect_bounded(body: HttpBody) -> Result<Bytes, Status> {
    let mut chunks = body.into_data_stream();
    let (mut received, mut size) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let broken = |error| Status::new(Reason::BadRequest, format!("cannot read the request body: {error}"));
        let chunk = chunk.map_err(broken)?;
        size += chunk.len();
        if size <= MAX_BODY_BYTES {
            received.push(chunk);
        } else if size > MAX_READ_BYTES {
            break;
        }
    }
    if size > MAX_BODY_BYTES {
        let message = format!("Request entity too large: limit is {MAX_BODY_BYTES}");
        return Err(Status::new(Reason::RequestEntityTooLarge, message));
    }
    // Most bodies arrive in one chunk, which needs no copy.
    Ok(match <[Bytes; 1]>::try_from(received) {
        Ok([only]) => only,
        Err(several) => several.concat().into(),
    })
}

/// Decodes `body` as a `T`, which is a `kind` of `version`.
pub async fn decode<T: DeserializeOwned + Send + 'static>(
    version: &str,
    kind: &'static str,
    format: BodyFormat,
    body: &Bytes,
) -> Result<Decoded<T>, Status> {
    let owned_version = version.to_string();
    let read = off_thread(format, body, move |body| decode_body::<T>(&owned_version, kind, format, body)).await?;
    read.map_err(|error| decode_status(version, kind, error))
}

/// Calls `read` with `body`: on the blocking thread pool if the body is large.
async fn off_thread<R: Send + 'static>(
    format: BodyFormat,
    body: &Bytes,
    read: impl FnOnce(&[u8]) -> R + Send + 'static,
) -> Result<R, Status> {
    if body.len() < min_blocking_bytes(format) {
        return Ok(read(body));
    }
    let body = body.clone();
    tokio::task::spawn_blocking(move || read(&body)).await.map_err(Status::internal)
}

/// Decodes an object as [`decode`] does, in any of `versions`; errors refer to the first one.
pub async fn decode_any_version<T: DeserializeOwned + Send + 'static>(
    versions: &[&str],
    kind: &'static str,
    format: BodyFormat,
    body: &Bytes,
) -> Result<Decoded<T>, Status> {
    let (preferred, others) = versions.split_first().unwrap_or((&"v1", &[]));
    let read = decode(preferred, kind, format, body).await;
    for version in others.iter().filter(|_| read.is_err()) {
        if let Ok(other) = decode(version, kind, format, body).await {
            return Ok(other);
        }
    }
    read
}

/// Decodes `body` as an object of a served resource.
pub async fn decode_served(served: ServedResource, format: BodyFormat, body: &Bytes) -> Result<Decoded<Body>, Status> {
    let read = off_thread(format, body, move |body| served.decode(format, body)).await?;
    read.map_err(|error| decode_status(&served.api_version(), served.kind_name(), error))
}

/// Rejects ignored fields, for strict field validation.
pub fn reject_ignored_fields(kind: &str, fields: &[String]) -> Result<(), Status> {
    if fields.is_empty() {
        return Ok(());
    }
    let reason = format!("strict decoding error: {}", fields.join(", "));
    Err(Status::new(Reason::BadRequest, format!("{kind} in version \"v1\" cannot be handled as a {kind}: {reason}")))
}

/// Location of Kubernetes' scheme of types, which its messages contain.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

fn decode_status(api_version: &str, kind: &str, error: DecodeError) -> Status {
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let cannot_handle = |sent_kind: &str, sent_version: &str, reason: &str| {
        format!("{sent_kind} in version {sent_version:?} cannot be handled as a {kind}: {reason}")
    };
    let message = match error {
        DecodeError::NotAnObject(reason) => {
            format!("the object provided is unrecognized (must be of type {kind}): {reason}")
        }
        DecodeError::WrongKind { version: sent_version, kind: sent_kind } => {
            let short_version = sent_version.rsplit('/').next().unwrap_or_default();
            let is_registered = scheme::is_registered(&sent_version, &sent_kind);
            if is_registered && sent_kind == kind {
                let message = format!(
                    "the API version in the data ({sent_version}) does not match the expected API version ({api_version})"
                );
                return Status::new(Reason::BadRequest, message);
            }
            let reason = match is_registered {
                true => format!("converting ({short_version}.{sent_kind}) to ({group}.{kind}): unknown conversion"),
                false => {
                    format!("no kind {sent_kind:?} is registered for version {sent_version:?} in scheme {SCHEME:?}")
                }
            };
            cannot_handle(&sent_kind, short_version, &reason)
        }
        DecodeError::InvalidValues(errors) => cannot_handle(kind, version, &errors.join(", ")),
    };
    Status::new(Reason::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: BodyFormat = BodyFormat::Text(TextFormat::Json);

    fn served(plural: &str) -> ServedResource {
        crate::apiserver::served::find("", "v1", plural).expect("a served resource")
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_are_limited_in_size_and_time() {
        let body = |sizes: &[usize]| {
            let chunks: Vec<_> = sizes.iter().map(|size| Ok::<_, std::io::Error>(vec![b'x'; *size])).collect();
            HttpBody::from_stream(futures_util::stream::iter(chunks))
        };
        for (sizes, length) in [(vec![], 0), (vec![5], 5), (vec![MAX_BODY_BYTES - 1, 1], MAX_BODY_BYTES)] {
            assert_eq!(collect(body(&sizes)).await.map(|body| body.len()), Ok(length), "{sizes:?}");
        }
        for sizes in [vec![MAX_BODY_BYTES + 1], vec![MAX_BODY_BYTES, 1], vec![MAX_BODY_BYTES; 100]] {
            let refused = collect(body(&sizes)).await.expect_err("too large");
            assert_eq!(
                (refused.reason.code(), refused.message.as_str()),
                (413, "Request entity too large: limit is 3145728")
            );
        }
        let stuck = HttpBody::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(collect(stuck).await.map_err(|status| status.reason), Err(Reason::Timeout));
    }

    #[test]
    fn media_types_determine_the_format() {
        for (media, want) in [
            (None, Ok(JSON)),
            (Some("application/json; charset=utf-8"), Ok(JSON)),
            (Some("Application/YAML"), Ok(BodyFormat::Text(TextFormat::Yaml))),
            (Some("application/vnd.kubernetes.protobuf"), Ok(BodyFormat::Protobuf)),
            (Some("text/plain"), Err(415)),
        ] {
            assert_eq!(format_of(media).map_err(|status| status.reason.code()), want, "{media:?}");
        }
    }

    #[tokio::test]
    async fn other_kinds_get_kubernetes_messages() {
        let registered = |kind: &str, version: &str| {
            format!(
                "no kind \"{kind}\" is registered for version \"{version}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""
            )
        };
        for (version, kind, short, why) in [
            ("v1", "Podd", "v1", registered("Podd", "v1")),
            ("v2", "Pod", "v2", registered("Pod", "v2")),
            ("apps/v1", "Pod", "v1", registered("Pod", "apps/v1")),
            ("apps/v1", "Deployment", "v1", "converting (v1.Deployment) to (core.Pod): unknown conversion".into()),
        ] {
            let text = format!("{{\"apiVersion\": \"{version}\", \"kind\": \"{kind}\"}}");
            let refused = decode_served(served("pods"), JSON, &text.into()).await.expect_err("no v1 Pod");
            let want = format!("{kind} in version \"{short}\" cannot be handled as a Pod: {why}");
            assert_eq!((refused.reason, refused.message), (Reason::BadRequest, want));
        }
    }

    #[tokio::test]
    async fn other_versions_of_a_kind_do_not_match() {
        for (group, version, plural, sent_version, kind) in [
            ("policy", "v1", "poddisruptionbudgets", "policy/v1beta1", "PodDisruptionBudget"),
            ("autoscaling", "v2", "horizontalpodautoscalers", "autoscaling/v1", "HorizontalPodAutoscaler"),
            ("autoscaling", "v1", "horizontalpodautoscalers", "autoscaling/v2", "HorizontalPodAutoscaler"),
            ("events.k8s.io", "v1", "events", "v1", "Event"),
            ("", "v1", "events", "events.k8s.io/v1", "Event"),
            ("apps", "v1", "deployments", "extensions/v1beta1", "Deployment"),
        ] {
            let served = crate::apiserver::served::find(group, version, plural).expect("a served resource");
            let text = format!("{{\"apiVersion\": \"{sent_version}\", \"kind\": \"{kind}\"}}");
            let refused = decode_served(served, JSON, &text.into()).await.expect_err("another version");
            let expected = served.api_version();
            let want = format!(
                "the API version in the data ({sent_version}) does not match the expected API version ({expected})"
            );
            assert_eq!((refused.reason, refused.message), (Reason::BadRequest, want));
        }
    }

    #[tokio::test]
    async fn large_objects_are_decoded() {
        let text = format!(
            "{{\"metadata\": {{\"name\": \"m\"}}, \"data\": {{\"a\": \"{}\"}}}}",
            "x".repeat(2 * MIN_BLOCKING_BYTES)
        );
        let read = decode_served(served("configmaps"), JSON, &text.into()).await.expect("a ConfigMap");
        assert_eq!(read.object.metadata().name.as_deref(), Some("m"));
    }
}
