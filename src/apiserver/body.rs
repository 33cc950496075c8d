//! What clients send: bodies within bounds, and the objects in them.

use std::time::Duration;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body::Body as _;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};
use serde::de::DeserializeOwned;

use crate::control::{Body, Reason, Resource, Status};
use crate::model::{self, DecodeError, Decoded, TextFormat, decode_object};

/// As large as a body may be on a real API server.
const MOST: usize = 3 * 1024 * 1024;
/// More than this is not even read to its end: a client that is answered while it still sends may miss the answer.
const MOST_READ: usize = 4 * MOST;
/// A client has so long to send its body.
const PATIENCE: Duration = Duration::from_secs(30);
/// Texts above this size are read beside the threads that answer.
const LARGE: usize = 64 * 1024;

/// All of `body`.
pub async fn collect(body: HttpBody) -> Result<Bytes, Status> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let late = |_| Status::new(Reason::Timeout, format!("the body did not come within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, within_bounds(body)).await.map_err(late)?
}

async fn within_bounds(body: HttpBody) -> Result<Bytes, Status> {
    let mut pieces = body.into_data_stream();
    let (mut whole, mut size) = (Vec::new(), 0);
    while let Some(piece) = pieces.next().await {
        let broken = |error| Status::new(Reason::BadRequest, format!("the body broke off: {error}"));
        let piece = piece.map_err(broken)?;
        size += piece.len();
        if size <= MOST {
            whole.push(piece);
        } else if size > MOST_READ {
            break;
        }
    }
    if size > MOST {
        let message = format!("Request entity too large: limit is {MOST}");
        return Err(Status::new(Reason::RequestEntityTooLarge, message));
    }
    // Most bodies come in one piece, which is taken as it is.
    Ok(match <[Bytes; 1]>::try_from(whole) {
        Ok([only]) => only,
        Err(many) => many.concat().into(),
    })
}

/// In what a body of this media type is written; JSON where nothing is said.
pub fn notation(media: Option<&str>) -> Result<TextFormat, Status> {
    let name = media.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let refused = |message: &str| Err(Status::new(Reason::UnsupportedMediaType, message));
    match name.as_str() {
        "" | "application/json" => Ok(TextFormat::Json),
        "application/yaml" => Ok(TextFormat::Yaml),
        "application/vnd.kubernetes.protobuf" => refused(
            "the body of the request is in protobuf, which is not read here yet: send application/json or \
             application/yaml, as kubectl does with -f FILE",
        ),
        _ => refused(
            "the body of the request was in an unknown format - accepted media types include: application/json, \
             application/yaml, application/vnd.kubernetes.protobuf",
        ),
    }
}

/// Reads `text` as a `T`, which is a `kind` in `version`.
pub async fn object<T: DeserializeOwned + Send + 'static>(
    version: &str,
    kind: &'static str,
    notation: TextFormat,
    text: &Bytes,
) -> Result<Decoded<T>, Status> {
    let read = move |version: &str, text: &[u8]| match std::str::from_utf8(text) {
        Ok(text) => decode_object::<T>(version, kind, notation, text),
        Err(_) => Err(DecodeError::NoObject("it is no UTF-8".into())),
    };
    let read = if text.len() < LARGE {
        read(version, text)
    } else {
        let (version, text) = (version.to_string(), text.clone());
        tokio::task::spawn_blocking(move || read(&version, &text)).await.map_err(Status::internal)?
    };
    read.map_err(|unreadable| refusal(version, kind, unreadable))
}

/// The same in whichever of `versions` it is written; the first is the usual one.
pub async fn object_of_any<T: DeserializeOwned + Send + 'static>(
    versions: &[&str],
    kind: &'static str,
    notation: TextFormat,
    text: &Bytes,
) -> Result<Decoded<T>, Status> {
    let (usual, others) = versions.split_first().unwrap_or((&"v1", &[]));
    let read = object(usual, kind, notation, text).await;
    for version in others.iter().filter(|_| read.is_err()) {
        if let Ok(other) = object(version, kind, notation, text).await {
            return Ok(other);
        }
    }
    read
}

/// Reads `text` as an object of `resource`.
pub async fn stored_object(resource: Resource, notation: TextFormat, text: &Bytes) -> Result<Decoded<Body>, Status> {
    match resource {
        Resource::PODS => stored::<Pod>(resource, notation, text).await,
        Resource::EVENTS => stored::<Event>(resource, notation, text).await,
        Resource::NODES => stored::<Node>(resource, notation, text).await,
        Resource::NAMESPACES => stored::<Namespace>(resource, notation, text).await,
        Resource::CONFIG_MAPS => stored::<ConfigMap>(resource, notation, text).await,
        Resource::SECRETS => stored::<Secret>(resource, notation, text).await,
        other => Err(Status::internal(format!("{} can't be written", other.plural))),
    }
}

async fn stored<T: DeserializeOwned + Send + 'static>(
    resource: Resource,
    notation: TextFormat,
    text: &Bytes,
) -> Result<Decoded<Body>, Status>
where
    Body: From<T>,
{
    let Decoded { object, ignored_fields: passed_over } = object::<T>("v1", resource.kind, notation, text).await?;
    Ok(Decoded { object: object.into(), ignored_fields: passed_over })
}

/// Fields that were passed over, where the client wants to hear of none.
pub fn refuse_passed_over(kind: &str, fields: &[String]) -> Result<(), Status> {
    if fields.is_empty() {
        return Ok(());
    }
    let why = format!("strict decoding error: {}", fields.join(", "));
    Err(Status::new(Reason::BadRequest, format!("{kind} in version \"v1\" cannot be handled as a {kind}: {why}")))
}

/// Where Kubernetes' kinds are registered, as its server calls the place.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

fn refusal(version: &str, kind: &str, unreadable: DecodeError) -> Status {
    let cannot = |is: &str, of: &str, why: &str| format!("{is} in version {of:?} cannot be handled as a {kind}: {why}");
    let message = match unreadable {
        DecodeError::NoObject(why) => format!("the object provided is unrecognized (must be of type {kind}): {why}"),
        DecodeError::Other { version: of, kind: is } => {
            let short = of.rsplit('/').next().unwrap_or_default();
            let why = match model::is_known(&of, &is) {
                true => format!("converting ({short}.{is}) to (core.{kind}): unknown conversion"),
                false => format!("no kind {is:?} is registered for version {of:?} in scheme {SCHEME:?}"),
            };
            cannot(&is, short, &why)
        }
        DecodeError::Wrong(faults) => cannot(kind, version, &faults.join(", ")),
    };
    Status::new(Reason::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bodies_are_read_within_bounds() {
        let of = |sizes: &[usize]| {
            let pieces: Vec<_> = sizes.iter().map(|size| Ok::<_, std::io::Error>(vec![b'x'; *size])).collect();
            HttpBody::from_stream(futures_util::stream::iter(pieces))
        };
        for (sizes, length) in [(vec![], 0), (vec![5], 5), (vec![MOST - 1, 1], MOST)] {
            assert_eq!(collect(of(&sizes)).await.map(|body| body.len()), Ok(length), "{sizes:?}");
        }
        for sizes in [vec![MOST + 1], vec![MOST, 1], vec![MOST; 100]] {
            let refused = collect(of(&sizes)).await.expect_err("too large");
            assert_eq!(
                (refused.reason.code(), refused.message.as_str()),
                (413, "Request entity too large: limit is 3145728")
            );
        }
        let stuck = HttpBody::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(collect(stuck).await.map_err(|status| status.reason), Err(Reason::Timeout));
    }

    #[test]
    fn media_types_say_how_to_read() {
        for (media, want) in [
            (None, Ok(TextFormat::Json)),
            (Some("application/json; charset=utf-8"), Ok(TextFormat::Json)),
            (Some("Application/YAML"), Ok(TextFormat::Yaml)),
            (Some("application/vnd.kubernetes.protobuf"), Err(415)),
            (Some("text/plain"), Err(415)),
        ] {
            assert_eq!(notation(media).map_err(|status| status.reason.code()), want, "{media:?}");
        }
    }

    #[tokio::test]
    async fn other_kinds_are_refused_in_kubernetes_words() {
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
            let refused = stored_object(Resource::PODS, TextFormat::Json, &text.into()).await.expect_err("no v1 Pod");
            let want = format!("{kind} in version \"{short}\" cannot be handled as a Pod: {why}");
            assert_eq!((refused.reason, refused.message), (Reason::BadRequest, want));
        }
    }

    #[tokio::test]
    async fn large_objects_are_read_like_small_ones() {
        let text = format!("{{\"metadata\": {{\"name\": \"m\"}}, \"data\": {{\"a\": \"{}\"}}}}", "x".repeat(2 * LARGE));
        let read = stored_object(Resource::CONFIG_MAPS, TextFormat::Json, &text.into()).await.expect("a ConfigMap");
        assert_eq!(read.object.metadata().name.as_deref(), Some("m"));
    }
}
