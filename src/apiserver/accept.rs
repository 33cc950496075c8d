//! What a client takes (`Accept`), and which of it is sent.
//!
//! A media type's parameters may ask for another shape of an object: a table of it
//! (`as=Table`), its metadata alone, or all of discovery in one document. The client's first wish
//! that can be granted is; one that can't be is passed over, and where nothing is left, the
//! refusal is in Kubernetes' words.

use crate::control::{Reason, Status};

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
}

/// A version of `meta.k8s.io`, the group of the shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaVersion {
    /// `v1`
    V1,
    /// `v1beta1`, of older clients.
    V1Beta1,
}

impl MetaVersion {
    /// `meta.k8s.io/v1`
    pub fn api_version(self) -> &'static str {
        match self {
            MetaVersion::V1 => "meta.k8s.io/v1",
            MetaVersion::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What an answer shows of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// All of it.
    Whole,
    /// A row of a `Table`.
    Table(MetaVersion),
    /// Its metadata: a `PartialObjectMetadata`, or the list of them.
    Metadata(MetaVersion),
}

/// What is sent for objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// How it is written.
    pub encoding: Encoding,
    /// What of each object.
    pub shape: Shape,
}

/// What a request for objects will be answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// One object.
    Object,
    /// A list.
    List,
    /// A stream of changes, which is never YAML.
    Watch,
}

/// What is sent of discovery at `/api` and `/apis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovery {
    /// Names of groups and versions; their resources are told elsewhere.
    Plain(Encoding),
    /// Everything in one `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2`.
    AggregatedV2,
    /// The same as `v2beta1`.
    AggregatedV2Beta1,
}

impl Encoding {
    /// The `Content-Type` of an answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Yaml => "application/yaml",
        }
    }
}

impl Discovery {
    /// The `Content-Type`, by which clients know an aggregated document.
    pub fn content_type(self) -> &'static str {
        match self {
            Discovery::Plain(encoding) => encoding.content_type(),
            Discovery::AggregatedV2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Discovery::AggregatedV2Beta1 => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        }
    }
}

/// What to send for objects of `kind` to a client that accepts `header`.
pub fn objects(kind: &str, header: Option<&str>, asked: Asked) -> Result<Answer, Status> {
    let wishes = wishes(header);
    let names = |wish: &Wish| wish.encodings().next().is_some() || wish.media == "application/vnd.kubernetes.protobuf";
    if !wishes.iter().any(names) {
        return Err(unknown_media(asked));
    }
    for wish in &wishes {
        if wish.encodings().next().is_some() {
            wish.check_count(kind, asked)?;
        }
        let Some(shape) = wish.shape(asked) else { continue };
        let mut encodings = wish.encodings().filter(|e| asked != Asked::Watch || *e == Encoding::Json);
        if let Some(encoding) = encodings.next() {
            return Ok(Answer { encoding, shape });
        }
    }
    Err(Status::new(Reason::NotAcceptable, only_accepted(asked == Asked::Watch)))
}

/// What to send of discovery to a client that accepts `header`.
pub fn discovery(header: Option<&str>) -> Result<Discovery, Status> {
    for wish in wishes(header) {
        let Some(encoding) = wish.encodings().next() else { continue };
        let convert = (wish.parameter("as"), wish.parameter("g"), wish.parameter("v"));
        match (encoding, convert) {
            (encoding, (None, None, None)) => return Ok(Discovery::Plain(encoding)),
            (Encoding::Json, (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2"))) => {
                return Ok(Discovery::AggregatedV2);
            }
            (Encoding::Json, (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1"))) => {
                return Ok(Discovery::AggregatedV2Beta1);
            }
            _ => {}
        }
    }
    Err(Status::new(Reason::NotAcceptable, only_accepted(false)))
}

/// What to send where there are no objects and no shapes: refusals, `/version`, API descriptions.
pub fn plain(header: Option<&str>) -> Encoding {
    wishes(header).iter().find_map(|wish| wish.encodings().next()).unwrap_or(Encoding::Json)
}

/// Kubernetes' list, protobuf included, which we pass over as a wish: clients that ask for it
/// take JSON besides.
fn only_accepted(stream: bool) -> String {
    let accepted = match stream {
        false => "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        true => "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch",
    };
    format!("only the following media types are accepted: {accepted}")
}

/// Refused before anybody looks at parameters.
fn unknown_media(asked: Asked) -> Status {
    let streams = match asked {
        Asked::Object => "",
        Asked::List | Asked::Watch => {
            ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
        }
    };
    let message = format!(
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
         application/vnd.kubernetes.protobuf{streams}"
    );
    Status::with_empty_details(Reason::NotAcceptable, message)
}

// ---------------------------------------------------------------- the header

/// One media type of the header.
struct Wish<'h> {
    media: &'h str,
    parameters: Vec<(&'h str, &'h str)>,
}

impl Wish<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// How it could be written; the better first.
    fn encodings(&self) -> impl Iterator<Item = Encoding> {
        let matches = |encoding: &Encoding| {
            matches!(self.media, "*/*" | "*" | "application/*") || self.media == encoding.content_type()
        };
        [Encoding::Json, Encoding::Yaml].into_iter().filter(matches)
    }

    /// Who asks for the metadata of one object and gets a list, or the other way round, is refused whatever else
    /// would do.
    fn check_count(&self, kind: &str, asked: Asked) -> Result<(), Status> {
        let known = (self.parameter("g"), self.parameter("v"));
        let known = matches!(known, (Some("meta.k8s.io"), Some("v1" | "v1beta1")));
        let why = match (self.parameter("as"), asked) {
            (Some(shape @ "PartialObjectMetadata"), Asked::List) => {
                format!("you requested {shape}, but the requested object is a list (*core.{kind}List)")
            }
            (Some(shape @ "PartialObjectMetadataList"), Asked::Object) => {
                format!("you requested {shape}, but the requested object is not a list (*core.{kind})")
            }
            _ => return Ok(()),
        };
        if known { Err(Status::new(Reason::NotAcceptable, why)) } else { Ok(()) }
    }

    /// The shape it asks for; `None` where there is no such shape.
    fn shape(&self, asked: Asked) -> Option<Shape> {
        if self.parameter("stream").is_some_and(|stream| stream != "watch" || asked != Asked::Watch) {
            return None;
        }
        let convert = (self.parameter("as"), self.parameter("g"), self.parameter("v"));
        if convert == (None, None, None) {
            return Some(Shape::Whole);
        }
        let version = match (convert.1, convert.2) {
            (Some("meta.k8s.io"), Some("v1")) => MetaVersion::V1,
            (Some("meta.k8s.io"), Some("v1beta1")) => MetaVersion::V1Beta1,
            _ => return None,
        };
        match (convert.0, asked) {
            (Some("Table"), _) => Some(Shape::Table(version)),
            (Some("PartialObjectMetadata"), Asked::Object | Asked::Watch)
            | (Some("PartialObjectMetadataList"), Asked::List) => Some(Shape::Metadata(version)),
            _ => None,
        }
    }
}

/// The media types of a header, the most wanted first. No header, or an empty one, takes anything.
fn wishes(header: Option<&str>) -> Vec<Wish<'_>> {
    let header = header.filter(|header| !header.trim().is_empty()).unwrap_or("*/*");
    let mut wishes: Vec<(f32, Wish)> = Vec::new();
    for entry in header.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let mut quality = 1.0;
        let mut parameters = Vec::new();
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim() {
                "q" => quality = value.parse().unwrap_or(1.0),
                name => parameters.push((name, value)),
            }
        }
        wishes.push((quality, Wish { media, parameters }));
    }
    // Stable: wishes of one quality stay in the client's order.
    wishes.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    wishes.into_iter().map(|(_, wish)| wish).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                         application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

    #[test]
    fn a_client_gets_its_first_wish_that_can_be_granted() {
        use Asked::{List, Object, Watch};
        use MetaVersion::{V1, V1Beta1};
        for (header, asked, encoding, shape) in [
            (None, List, Encoding::Json, Shape::Whole),
            (Some(""), List, Encoding::Json, Shape::Whole),
            (Some("*/*"), Object, Encoding::Json, Shape::Whole),
            (Some("application/*"), Object, Encoding::Json, Shape::Whole),
            (Some("application/yaml"), List, Encoding::Yaml, Shape::Whole),
            (Some("application/yaml, application/json"), Watch, Encoding::Json, Shape::Whole),
            (Some("application/yaml;q=0.5, application/json"), List, Encoding::Json, Shape::Whole),
            (Some("text/html, */*;q=0.1"), List, Encoding::Json, Shape::Whole),
            (Some(TABLE), List, Encoding::Json, Shape::Table(V1)),
            (Some(TABLE), Object, Encoding::Json, Shape::Table(V1)),
            (Some(TABLE), Watch, Encoding::Json, Shape::Table(V1)),
            (Some("application/json;as=Table;v=v9;g=meta.k8s.io,application/json"), List, Encoding::Json, Shape::Whole),
            (Some("application/json;as=Table;v=v1beta1;g=meta.k8s.io"), List, Encoding::Json, Shape::Table(V1Beta1)),
            (Some("application/vnd.kubernetes.protobuf,application/json"), List, Encoding::Json, Shape::Whole),
            (Some("application/json;stream=watch"), Watch, Encoding::Json, Shape::Whole),
            (
                Some("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"),
                List,
                Encoding::Json,
                Shape::Metadata(V1),
            ),
            (
                Some("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
                Watch,
                Encoding::Json,
                Shape::Metadata(V1),
            ),
        ] {
            assert_eq!(objects("Pod", header, asked), Ok(Answer { encoding, shape }), "{header:?} for {asked:?}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_in_kubernetes_words() {
        let golden: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../../tests/golden/requests-1.36.json")).expect("golden data");
        for name in ["accept-unknown", "accept-table-badver"] {
            let case = golden.iter().find(|case| case["name"] == name).expect("the case");
            let refusal = objects("Pod", case["request"]["accept"].as_str(), Asked::List).expect_err(name);
            assert_eq!(refusal.message, case["status"]["message"], "{name}");
            assert_eq!(refusal.details.is_some(), !case["status"]["details"].is_null(), "{name}");
            assert_eq!(refusal.reason.code(), case["code"], "{name}");
        }
        for (header, asked) in [
            ("application/yaml", Asked::Watch),
            ("application/json;stream=watch", Asked::List),
            ("application/vnd.kubernetes.protobuf", Asked::Object),
            ("application/json;as=Table;v=v1;g=example.com", Asked::List),
        ] {
            let refusal = objects("Pod", Some(header), asked).expect_err(header);
            assert!(refusal.message.starts_with("only the following media types are accepted: "), "{header}");
        }
        for (shape, asked, what) in [
            ("PartialObjectMetadata", Asked::List, "a list (*core.PodList)"),
            ("PartialObjectMetadataList", Asked::Object, "not a list (*core.Pod)"),
        ] {
            let header = format!("application/json;as={shape};g=meta.k8s.io;v=v1,application/json");
            let refusal = objects("Pod", Some(&header), asked).expect_err(shape);
            assert_eq!(refusal.message, format!("you requested {shape}, but the requested object is {what}"));
        }
    }

    #[test]
    fn discovery_is_aggregated_for_those_who_ask() {
        let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                       application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        for (header, sent) in [
            (None, Some(Discovery::Plain(Encoding::Json))),
            (Some("application/yaml"), Some(Discovery::Plain(Encoding::Yaml))),
            (Some(kubectl), Some(Discovery::AggregatedV2)),
            (
                Some(&kubectl["application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,".len()..]),
                Some(Discovery::AggregatedV2Beta1),
            ),
            (Some("application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList"), None),
            (Some("text/html"), None),
        ] {
            assert_eq!(discovery(header).ok(), sent, "{header:?}");
        }
        assert_eq!(plain(Some("text/html")), Encoding::Json);
        assert_eq!(plain(Some("application/yaml")), Encoding::Yaml);
    }
}
