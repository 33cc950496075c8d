//! Content negotiation: chooses the response format from the `Accept` header.
//!
//! A media type's parameters may request another form of an object: a table (`as=Table`), its metadata
//! only, or all of discovery in one document. The first supported media type wins. If there is none,
//! the request is rejected in Kubernetes' words.

use crate::control::{Reason, Status};

/// The encoding of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

/// A version of `meta.k8s.io`, the API group of tables and partial metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaVersion {
    /// `v1`
    V1,
    /// `v1beta1`, which older clients request.
    V1Beta1,
}

impl MetaVersion {
    /// Returns the API version, such as `meta.k8s.io/v1`.
    pub fn api_version(self) -> &'static str {
        match self {
            MetaVersion::V1 => "meta.k8s.io/v1",
            MetaVersion::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// The form of an object in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectForm {
    /// The whole object.
    Full,
    /// A row of a `Table`.
    Table(MetaVersion),
    /// A `PartialObjectMetadata`, or a list of them.
    Metadata(MetaVersion),
}

/// The negotiated format of a response with objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseFormat {
    /// Encoding of the response.
    pub encoding: Encoding,
    /// Form of each object.
    pub form: ObjectForm,
}

/// The kind of response to a request for objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseKind {
    /// One object.
    Object,
    /// A list.
    List,
    /// A stream of changes; YAML has none.
    Watch,
}

/// The format of discovery at `/api` and `/apis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscoveryFormat {
    /// Groups and versions only; each version has its own document of resources.
    Unaggregated(Encoding),
    /// One `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2` with all resources.
    AggregatedV2,
    /// The same as `v2beta1`.
    AggregatedV2Beta1,
}

impl Encoding {
    /// Returns the `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Yaml => "application/yaml",
            Encoding::Protobuf => PROTOBUF,
        }
    }

    /// Returns the `Content-Type` of a watch.
    pub fn stream_content_type(self) -> &'static str {
        match self {
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            Encoding::Json | Encoding::Yaml => "application/json",
        }
    }
}

impl DiscoveryFormat {
    /// Returns the `Content-Type`, by which clients recognize an aggregated document.
    pub fn content_type(self) -> &'static str {
        match self {
            DiscoveryFormat::Unaggregated(encoding) => encoding.content_type(),
            DiscoveryFormat::AggregatedV2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            DiscoveryFormat::AggregatedV2Beta1 => {
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
        }
    }
}

/// Negotiates the format of objects of `kind` with a client that accepts `header`.
pub fn negotiate_objects(kind: &str, header: Option<&str>, response: ResponseKind) -> Result<ResponseFormat, Status> {
    let ranges = parse_accept(header);
    reject_unknown(&ranges, response)?;
    for range in &ranges {
        if range.encodings().next().is_some() {
            range.check_plurality(kind, response)?;
        }
        let Some(form) = range.form(response) else { continue };
        let mut encodings = range.encodings().filter(|encoding| match encoding {
            Encoding::Json => true,
            Encoding::Yaml => response != ResponseKind::Watch,
            // Tables have no protobuf form.
            Encoding::Protobuf => !matches!(form, ObjectForm::Table(_)),
        });
        if let Some(encoding) = encodings.next() {
            return Ok(ResponseFormat { encoding, form });
        }
    }
    Err(Status::new(Reason::NotAcceptable, accepted_types_message(response == ResponseKind::Watch)))
}

/// Returns the error of a client that accepts only another form than the whole object.
pub fn not_acceptable() -> Status {
    Status::new(Reason::NotAcceptable, accepted_types_message(false))
}

/// Negotiates the format of discovery with a client that accepts `header`.
pub fn negotiate_discovery(header: Option<&str>) -> Result<DiscoveryFormat, Status> {
    let ranges = parse_accept(header);
    reject_unknown(&ranges, ResponseKind::Object)?;
    for range in ranges {
        let Some(encoding) = range.encodings().next() else { continue };
        let target = range.target();
        match (encoding, target) {
            (encoding, (None, None, None)) => return Ok(DiscoveryFormat::Unaggregated(encoding)),
            (Encoding::Json, (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2"))) => {
                return Ok(DiscoveryFormat::AggregatedV2);
            }
            (Encoding::Json, (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1"))) => {
                return Ok(DiscoveryFormat::AggregatedV2Beta1);
            }
            _ => {}
        }
    }
    Err(not_acceptable())
}

/// Negotiates the encoding of a document that has only one form, such as `/apis/apps/v1`.
pub fn negotiate_document(header: Option<&str>) -> Result<Encoding, Status> {
    let ranges = parse_accept(header);
    reject_unknown(&ranges, ResponseKind::Object)?;
    whole_object_encoding(&ranges).ok_or_else(not_acceptable)
}

/// Checks that the client accepts JSON, the only encoding of `/version`.
pub fn require_json(header: Option<&str>) -> Result<(), Status> {
    let accepts_json = parse_accept(header).iter().any(|range| range.encodings().any(|known| known == Encoding::Json));
    if accepts_json { Ok(()) } else { Err(unknown_media_type("application/json")) }
}

/// Negotiates the encoding of a `Status`; `None` if the client accepts only other forms of objects.
pub fn negotiate_status(header: Option<&str>) -> Option<Encoding> {
    whole_object_encoding(&parse_accept(header))
}

/// Returns the client's preferred one of `types`: documents such as OpenAPI have media types of their own.
pub fn negotiate_media_type(header: Option<&str>, types: &[&'static str]) -> Option<&'static str> {
    parse_accept(header).iter().find_map(|range| types.iter().copied().find(|media_type| range.matches(media_type)))
}

/// Returns the preferred encoding of a whole object.
fn whole_object_encoding(ranges: &[MediaRange]) -> Option<Encoding> {
    ranges.iter().filter(|range| range.target() == (None, None, None)).find_map(|range| range.encodings().next())
}

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Returns Kubernetes' message, which lists protobuf too.
fn accepted_types_message(stream: bool) -> String {
    let accepted = match stream {
        false => "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        true => "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch",
    };
    format!("only the following media types are accepted: {accepted}")
}

/// Rejects a header without any known media type, before its parameters are looked at.
fn reject_unknown(ranges: &[MediaRange], response: ResponseKind) -> Result<(), Status> {
    if ranges.iter().any(|range| range.encodings().next().is_some()) {
        return Ok(());
    }
    Err(unknown_media_type(match response {
        ResponseKind::Object => "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ResponseKind::List | ResponseKind::Watch => {
            "application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, \
             application/vnd.kubernetes.protobuf;stream=watch"
        }
    }))
}

fn unknown_media_type(available: &str) -> Status {
    let message = format!("406: Not Acceptable\n\nAvailable representations: {available}");
    Status::with_empty_details(Reason::NotAcceptable, message)
}

// ---------------------------------------------------------------- header

/// One media range of the header.
struct MediaRange<'h> {
    media_type: &'h str,
    parameters: Vec<(&'h str, &'h str)>,
}

impl MediaRange<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Returns whether a media type below `application` is in this range.
    fn matches(&self, media_type: &str) -> bool {
        matches!(self.media_type, "*/*" | "*" | "application/*") || self.media_type == media_type
    }

    /// Returns the matching encodings, the preferred one first.
    fn encodings(&self) -> impl Iterator<Item = Encoding> {
        let known = [Encoding::Json, Encoding::Yaml, Encoding::Protobuf];
        known.into_iter().filter(|encoding| self.matches(encoding.content_type()))
    }

    /// Returns kind, group and version of the requested form; nothing for the whole object.
    fn target(&self) -> (Option<&str>, Option<&str>, Option<&str>) {
        (self.parameter("as"), self.parameter("g"), self.parameter("v"))
    }

    /// Rejects a request for the metadata of one object if the response is a list, and vice versa, even if another
    /// media range would match.
    fn check_plurality(&self, kind: &str, response: ResponseKind) -> Result<(), Status> {
        let known = (self.parameter("g"), self.parameter("v"));
        let known = matches!(known, (Some("meta.k8s.io"), Some("v1" | "v1beta1")));
        let message = match (self.parameter("as"), response) {
            (Some(form @ "PartialObjectMetadata"), ResponseKind::List) => {
                format!("you requested {form}, but the requested object is a list (*core.{kind}List)")
            }
            (Some(form @ "PartialObjectMetadataList"), ResponseKind::Object) => {
                format!("you requested {form}, but the requested object is not a list (*core.{kind})")
            }
            _ => return Ok(()),
        };
        if known { Err(Status::new(Reason::NotAcceptable, message)) } else { Ok(()) }
    }

    /// Returns the requested form, if there is such a form for this kind of response.
    fn form(&self, response: ResponseKind) -> Option<ObjectForm> {
        if self.parameter("stream").is_some_and(|stream| stream != "watch" || response != ResponseKind::Watch) {
            return None;
        }
        let target = self.target();
        if target == (None, None, None) {
            return Some(ObjectForm::Full);
        }
        let version = match (target.1, target.2) {
            (Some("meta.k8s.io"), Some("v1")) => MetaVersion::V1,
            (Some("meta.k8s.io"), Some("v1beta1")) => MetaVersion::V1Beta1,
            _ => return None,
        };
        match (target.0, response) {
            (Some("Table"), _) => Some(ObjectForm::Table(version)),
            (Some("PartialObjectMetadata"), ResponseKind::Object | ResponseKind::Watch)
            | (Some("PartialObjectMetadataList"), ResponseKind::List) => Some(ObjectForm::Metadata(version)),
            _ => None,
        }
    }
}

/// Parses the header's media ranges and sorts them by quality. A missing or empty header accepts everything.
fn parse_accept(header: Option<&str>) -> Vec<MediaRange<'_>> {
    let header = header.filter(|header| !header.trim().is_empty()).unwrap_or("*/*");
    let mut ranges: Vec<(f32, MediaRange)> = Vec::new();
    for entry in header.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let mut quality = 1.0;
        let mut parameters = Vec::new();
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim() {
                "q" => quality = value.parse().unwrap_or(1.0),
                name => parameters.push((name, value)),
            }
        }
        ranges.push((quality, MediaRange { media_type, parameters }));
    }
    // The sort is stable: ranges of equal quality keep the client's order.
    ranges.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    ranges.into_iter().map(|(_, range)| range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                         application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

    #[test]
    fn first_supported_media_type_wins() {
        use MetaVersion::{V1, V1Beta1};
        use ResponseKind::{List, Object, Watch};
        for (header, response, encoding, form) in [
            (None, List, Encoding::Json, ObjectForm::Full),
            (Some(""), List, Encoding::Json, ObjectForm::Full),
            (Some("*/*"), Object, Encoding::Json, ObjectForm::Full),
            (Some("application/*"), Object, Encoding::Json, ObjectForm::Full),
            (Some("application/yaml"), List, Encoding::Yaml, ObjectForm::Full),
            (Some("application/yaml, application/json"), Watch, Encoding::Json, ObjectForm::Full),
            (Some("application/yaml;q=0.5, application/json"), List, Encoding::Json, ObjectForm::Full),
            (Some("text/html, */*;q=0.1"), List, Encoding::Json, ObjectForm::Full),
            (Some(TABLE), List, Encoding::Json, ObjectForm::Table(V1)),
            (Some(TABLE), Object, Encoding::Json, ObjectForm::Table(V1)),
            (Some(TABLE), Watch, Encoding::Json, ObjectForm::Table(V1)),
            (
                Some("application/json;as=Table;v=v9;g=meta.k8s.io,application/json"),
                List,
                Encoding::Json,
                ObjectForm::Full,
            ),
            (
                Some("application/json;as=Table;v=v1beta1;g=meta.k8s.io"),
                List,
                Encoding::Json,
                ObjectForm::Table(V1Beta1),
            ),
            (Some("application/vnd.kubernetes.protobuf,application/json"), List, Encoding::Protobuf, ObjectForm::Full),
            (Some("application/vnd.kubernetes.protobuf;stream=watch"), Watch, Encoding::Protobuf, ObjectForm::Full),
            (Some("application/json;stream=watch"), Watch, Encoding::Json, ObjectForm::Full),
            (
                Some("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"),
                List,
                Encoding::Json,
                ObjectForm::Metadata(V1),
            ),
            (
                Some("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
                Watch,
                Encoding::Json,
                ObjectForm::Metadata(V1),
            ),
        ] {
            assert_eq!(
                negotiate_objects("Pod", header, response),
                Ok(ResponseFormat { encoding, form }),
                "{header:?} for {response:?}"
            );
        }
    }

    #[test]
    fn unsupported_media_types_get_kubernetes_messages() {
        let golden: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../../tests/golden/requests-1.36.json")).expect("golden data");
        for name in ["accept-unknown", "accept-table-badver"] {
            let case = golden.iter().find(|case| case["name"] == name).expect("the case");
            let refusal =
                negotiate_objects("Pod", case["request"]["accept"].as_str(), ResponseKind::List).expect_err(name);
            assert_eq!(refusal.message, case["status"]["message"], "{name}");
            assert_eq!(refusal.details.is_some(), !case["status"]["details"].is_null(), "{name}");
            assert_eq!(refusal.reason.code(), case["code"], "{name}");
        }
        for (header, response) in [
            ("application/yaml", ResponseKind::Watch),
            ("application/json;stream=watch", ResponseKind::List),
            ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", ResponseKind::Object),
            ("application/json;as=Table;v=v1;g=example.com", ResponseKind::List),
        ] {
            let refusal = negotiate_objects("Pod", Some(header), response).expect_err(header);
            assert!(refusal.message.starts_with("only the following media types are accepted: "), "{header}");
        }
        for (form, response, actual) in [
            ("PartialObjectMetadata", ResponseKind::List, "a list (*core.PodList)"),
            ("PartialObjectMetadataList", ResponseKind::Object, "not a list (*core.Pod)"),
        ] {
            let header = format!("application/json;as={form};g=meta.k8s.io;v=v1,application/json");
            let refusal = negotiate_objects("Pod", Some(&header), response).expect_err(form);
            assert_eq!(refusal.message, format!("you requested {form}, but the requested object is {actual}"));
        }
    }

    #[test]
    fn discovery_is_aggregated_on_request() {
        let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                       application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        for (header, format) in [
            (None, Some(DiscoveryFormat::Unaggregated(Encoding::Json))),
            (Some("application/yaml"), Some(DiscoveryFormat::Unaggregated(Encoding::Yaml))),
            (Some(PROTOBUF), Some(DiscoveryFormat::Unaggregated(Encoding::Protobuf))),
            (Some(kubectl), Some(DiscoveryFormat::AggregatedV2)),
            (
                Some(&kubectl["application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,".len()..]),
                Some(DiscoveryFormat::AggregatedV2Beta1),
            ),
            (Some("application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList"), None),
            (Some("text/html"), None),
        ] {
            assert_eq!(negotiate_discovery(header).ok(), format, "{header:?}");
        }
    }

    #[test]
    fn documents_are_negotiated_without_other_forms() {
        let (table, protobuf) = ("application/json;as=Table;v=v1;g=meta.k8s.io", Some(PROTOBUF));
        for (header, document, status) in [
            (Some("application/yaml"), Some(Encoding::Yaml), Some(Encoding::Yaml)),
            (protobuf, Some(Encoding::Protobuf), Some(Encoding::Protobuf)),
            (Some("text/html"), None, None),
            (Some(table), None, None),
            (Some(TABLE), Some(Encoding::Json), Some(Encoding::Json)),
        ] {
            assert_eq!(negotiate_document(header).ok(), document, "{header:?}");
            assert_eq!(negotiate_status(header), status, "{header:?}");
        }
        assert!(require_json(Some("text/html, */*;q=0.8")).is_ok() && require_json(protobuf).is_err());
        let types = ["application/json", "application/b"];
        for (header, media_type) in [
            (None, Some("application/json")),
            (Some("application/b, application/json"), Some("application/b")),
            (Some("application/b;q=0.5, application/json"), Some("application/json")),
            (Some("application/foo"), None),
        ] {
            assert_eq!(negotiate_media_type(header, &types), media_type, "{header:?}");
        }
    }
}
