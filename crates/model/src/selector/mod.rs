//! Label and field selectors of lists and watches.
//!
//! Syntax and error messages are those of `k8s.io/apimachinery` (packages `labels` and `fields`).

mod fields;
mod labels;

pub use fields::{FieldSelector, event_field, namespace_field, node_field, pod_field, secret_field};
pub use labels::Selector;

/// The selector is not valid; the message is Kubernetes'.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::Value;

    use super::*;

    /// Returns the pods of the recording: a (app=x, tier=f), b (app=x) and c (app=y), all on node ghost.
    fn pods() -> Vec<Pod> {
        let pod = |(name, labels): (&str, Value)| {
            let metadata = serde_json::json!({"name": name, "namespace": "NS", "labels": labels});
            let pod = serde_json::json!({"metadata": metadata, "spec": {"nodeName": "ghost", "containers": []}});
            serde_json::from_value(pod).expect("a pod")
        };
        let x = serde_json::json!({"app": "x"});
        let labels =
            [("a", serde_json::json!({"app": "x", "tier": "f"})), ("b", x), ("c", serde_json::json!({"app": "y"}))];
        labels.into_iter().map(pod).collect()
    }

    /// Returns the names of the selected pods.
    fn select(labels: &str, fields: &str) -> Result<Vec<String>, SelectorError> {
        let (labels, fields) = (Selector::parse(labels)?, FieldSelector::parse(fields, "", "Pod")?);
        let mut pods = pods();
        pods.retain(|pod| labels.matches(pod.metadata.labels.as_ref().expect("labels")));
        pods.retain(|pod| fields.matches(|field| pod_field(pod, field)));
        Ok(pods.into_iter().filter_map(|pod| pod.metadata.name).collect())
    }

    #[test]
    fn selectors_match_a_recorded_api_server() {
        let golden: Vec<Value> =
            serde_json::from_str(include_str!("../../../../tests/golden/requests-1.36.json")).expect("golden data");
        let mut compared = 0;
        for case in golden
            .iter()
            .filter(|case| case["request"]["method"] == "GET" && !case["list"].is_null() || case["code"] == 400)
        {
            let (_, query) = case["request"]["path"].as_str().and_then(|path| path.split_once('?')).unwrap_or_default();
            let parameter = |name: &str| {
                let mut all = form_urlencoded::parse(query.as_bytes());
                all.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
            };
            let (labels, fields) = (parameter("labelSelector"), parameter("fieldSelector"));
            if labels.is_none() && fields.is_none() {
                continue;
            }
            let selected = select(&labels.unwrap_or_default(), &fields.unwrap_or_default());
            let names = || serde_json::from_value(case["list"]["names"].clone()).expect("names");
            let expected = match case["status"]["message"].as_str() {
                Some(message) => Err(SelectorError(message.into())),
                None => Ok(names()),
            };
            assert_eq!(selected, expected, "{}", case["name"]);
            compared += 1;
        }
        assert_eq!(compared, 11, "cases with selectors in the golden data");
    }
}
