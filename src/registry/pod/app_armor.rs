//! AppArmor profiles that a new pod names in annotations, as clients did before there were fields for them: they are
//! copied into the fields.

use k8s_openapi::api::core::v1::{AppArmorProfile, Container, Pod};

use super::validation::{self, APP_ARMOR};
use crate::model::pods;
use crate::registry::fields::Path;

/// Copies what containers' annotations say into fields that say nothing.
pub fn adopt(pod: &mut Pod) {
    let found = in_annotations(pod);
    let Some(spec) = &mut pod.spec else { return };
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        let named = found.iter().find(|(name, _)| *name == container.name);
        if let Some(Found::Copied(profile)) = named.map(|(_, found)| found) {
            container.security_context.get_or_insert_default().app_armor_profile = Some(profile.clone());
        }
    }
}

/// What the client of a new `pod` should know of its annotations.
pub fn warnings(pod: &Pod) -> Vec<String> {
    let told = |(name, found): (String, Found)| {
        let key = format!("{APP_ARMOR}{name}");
        let (meta, why) = (Path::root("metadata"), "deprecated since v1.30; use the \"appArmorProfile\" field instead");
        (found != Found::Known).then(|| format!("{}: {why}", meta.child("annotations").key(&key)))
    };
    in_annotations(pod).into_iter().filter_map(told).collect()
}

/// What an annotation comes to.
#[derive(Debug, PartialEq)]
enum Found {
    /// The container's field says so then.
    Copied(AppArmorProfile),
    /// The pod's field says so already.
    Known,
    /// It is no profile.
    Wrong,
}

/// The annotations of containers whose own fields say nothing.
fn in_annotations(pod: &Pod) -> Vec<(String, Found)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        return Vec::new();
    }
    let whole = spec.security_context.as_ref().and_then(|context| context.app_armor_profile.as_ref());
    let silent = |container: &&Container| {
        container.security_context.as_ref().is_none_or(|context| context.app_armor_profile.is_none())
    };
    let containers = pods::init_containers(spec).iter().chain(&spec.containers).filter(silent);
    let found = containers.filter_map(|container| {
        let annotation = pods::annotation(pod, &format!("{APP_ARMOR}{}", container.name))?;
        let found = match profile(annotation) {
            None => Found::Wrong,
            Some(profile) if Some(&profile) == whole => Found::Known,
            Some(profile) => Found::Copied(profile),
        };
        Some((container.name.clone(), found))
    });
    found.collect()
}

fn profile(annotation: &str) -> Option<AppArmorProfile> {
    let of = |kind: &str, localhost_profile| AppArmorProfile { type_: kind.into(), localhost_profile };
    let profile = match annotation {
        "unconfined" => of("Unconfined", None),
        "runtime/default" => of("RuntimeDefault", None),
        other => of("Localhost", Some(other.strip_prefix("localhost/")?.into())),
    };
    validation::is_app_armor_profile(&profile).then_some(profile)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn profiles_in_annotations_are_copied_into_fields_and_warned_of() {
        let no_field = Value::Null;
        for (annotation, whole, own, copied, warns) in [
            ("runtime/default", json!(null), json!(null), json!({"type": "RuntimeDefault"}), true),
            ("unconfined", json!(null), json!(null), json!({"type": "Unconfined"}), true),
            ("localhost/x", json!(null), json!(null), json!({"type": "Localhost", "localhostProfile": "x"}), true),
            ("localhost/", json!(null), json!(null), no_field.clone(), true),
            ("localhost/ x", json!(null), json!(null), no_field.clone(), true),
            ("odd", json!(null), json!(null), no_field.clone(), true),
            ("unconfined", json!({"type": "Unconfined"}), json!(null), no_field.clone(), false),
            ("unconfined", json!({"type": "RuntimeDefault"}), json!(null), json!({"type": "Unconfined"}), true),
            ("unconfined", json!(null), json!({"type": "Unconfined"}), json!({"type": "Unconfined"}), false),
        ] {
            let key = "container.apparmor.security.beta.kubernetes.io/c";
            let context = |profile: &Value| json!({"appArmorProfile": profile});
            let pod = json!({"metadata": {"name": "p", "annotations": {(key): annotation}},
                "spec": {"securityContext": context(&whole), "containers": [
                    {"name": "c", "securityContext": context(&own)}, {"name": "d"}]}});
            let mut pod: Pod = serde_json::from_value(pod).expect("a pod");
            let words = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
            let warned = if warns { vec![format!("metadata.annotations[{key}]: {words}")] } else { Vec::new() };
            assert_eq!(warnings(&pod), warned, "{annotation}");
            adopt(&mut pod);
            let containers = serde_json::to_value(&pod.spec).expect("JSON")["containers"].take();
            let profile = &containers[0]["securityContext"]["appArmorProfile"];
            assert_eq!((profile, &containers[1]["securityContext"]), (&copied, &no_field), "{annotation}");
        }
    }
}
