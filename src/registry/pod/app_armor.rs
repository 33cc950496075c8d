//! AppArmor profiles in annotations, which older clients use instead of the fields: a new pod's are copied into the
//! fields.

use k8s_openapi::api::core::v1::{AppArmorProfile, Container, Pod};

use super::validation::{self, APP_ARMOR};
use crate::model::pods;
use crate::registry::fields::FieldPath;

/// Copies the profiles in annotations into the containers' unset fields.
pub fn copy_annotations_to_fields(pod: &mut Pod) {
    let profiles = annotated_profiles(pod);
    let Some(spec) = &mut pod.spec else { return };
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        let named = profiles.iter().find(|(name, _)| *name == container.name);
        if let Some(AnnotatedProfile::Copied(profile)) = named.map(|(_, profile)| profile) {
            container.security_context.get_or_insert_default().app_armor_profile = Some(profile.clone());
        }
    }
}

/// Returns the warnings about the AppArmor annotations of a new pod.
pub fn warnings_on_create(pod: &Pod) -> Vec<String> {
    let warning = |(name, profile): (String, AnnotatedProfile)| {
        let key = format!("{APP_ARMOR}{name}");
        let (meta, detail) =
            (FieldPath::root("metadata"), "deprecated since v1.30; use the \"appArmorProfile\" field instead");
        (profile != AnnotatedProfile::SameAsPod).then(|| format!("{}: {detail}", meta.child("annotations").key(&key)))
    };
    annotated_profiles(pod).into_iter().filter_map(warning).collect()
}

/// The effect of an annotation.
#[derive(Debug, PartialEq)]
enum AnnotatedProfile {
    /// The profile is copied into the container's field.
    Copied(AppArmorProfile),
    /// The pod's field has the same profile.
    SameAsPod,
    /// The annotation is not a valid profile.
    Invalid,
}

/// Returns the profiles in annotations of containers whose own fields are unset, by container name.
fn annotated_profiles(pod: &Pod) -> Vec<(String, AnnotatedProfile)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        return Vec::new();
    }
    let pod_profile = spec.security_context.as_ref().and_then(|context| context.app_armor_profile.as_ref());
    let has_no_field = |container: &&Container| {
        container.security_context.as_ref().is_none_or(|context| context.app_armor_profile.is_none())
    };
    let containers = pods::init_containers(spec).iter().chain(&spec.containers).filter(has_no_field);
    let profiles = containers.filter_map(|container| {
        let annotation = pods::annotation(pod, &format!("{APP_ARMOR}{}", container.name))?;
        let profile = match parse_profile(annotation) {
            None => AnnotatedProfile::Invalid,
            Some(profile) if Some(&profile) == pod_profile => AnnotatedProfile::SameAsPod,
            Some(profile) => AnnotatedProfile::Copied(profile),
        };
        Some((container.name.clone(), profile))
    });
    profiles.collect()
}

fn parse_profile(annotation: &str) -> Option<AppArmorProfile> {
    let new = |kind: &str, localhost_profile| AppArmorProfile { type_: kind.into(), localhost_profile };
    let profile = match annotation {
        "unconfined" => new("Unconfined", None),
        "runtime/default" => new("RuntimeDefault", None),
        other => new("Localhost", Some(other.strip_prefix("localhost/")?.into())),
    };
    validation::is_app_armor_profile(&profile).then_some(profile)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn annotated_profiles_are_copied_into_fields_with_a_warning() {
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
            assert_eq!(warnings_on_create(&pod), warned, "{annotation}");
            copy_annotations_to_fields(&mut pod);
            let containers = serde_json::to_value(&pod.spec).expect("JSON")["containers"].take();
            let profile = &containers[0]["securityContext"]["appArmorProfile"];
            assert_eq!((profile, &containers[1]["securityContext"]), (&copied, &no_field), "{annotation}");
        }
    }
}
