//! Templates of pods, which Deployments, Jobs and other workloads contain.
//!
//! Defaults, rules and warnings are those of pods; paths begin at the template.

use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};

use super::{defaults, omit_empty, validation, warnings};
use crate::registry::fields::{ErrorList, FieldPath};

/// Sets the defaults and drops empty fields.
pub fn set_defaults(template: &mut PodTemplateSpec) {
    template.metadata.get_or_insert_default();
    defaults::apply_to_spec(template.spec.get_or_insert_default());
    omit_empty::apply_to_template(template);
}

/// Validates the template at `path`.
pub fn validate(errors: &mut ErrorList, path: FieldPath<'_>, template: &PodTemplateSpec) {
    validation::validate_template(errors, path, template);
}

/// Returns the warnings about the template at `path`.
pub fn warnings(path: FieldPath<'_>, template: &PodTemplateSpec) -> Vec<String> {
    warnings::warnings_on_template(path, template)
}

/// Returns the app containers of the template.
pub fn containers(template: &PodTemplateSpec) -> &[Container] {
    template.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(yaml: &str) -> PodTemplateSpec {
        let mut template = serde_yaml::from_str(yaml).expect("a template");
        set_defaults(&mut template);
        template
    }

    fn causes(yaml: &str) -> Vec<String> {
        let mut errors = ErrorList::default();
        let spec = FieldPath::root("spec");
        validate(&mut errors, spec.child("template"), &template(yaml));
        errors.into_causes().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn templates_get_no_defaults_of_created_pods() {
        let template = template(
            "{spec: {hostNetwork: true, containers: [{name: c, ports: [{containerPort: 80}], \
             resources: {limits: {cpu: 1000m}}}]}}",
        );
        let json = serde_json::to_value(&template).expect("JSON");
        assert_eq!(json["metadata"], serde_json::json!({}));
        let spec = &json["spec"];
        assert_eq!((&spec["enableServiceLinks"], &spec["restartPolicy"]), (&serde_json::Value::Null, &"Always".into()));
        let container = &spec["containers"][0];
        assert_eq!(container["resources"], serde_json::json!({"limits": {"cpu": "1"}}));
        assert_eq!(container["ports"], serde_json::json!([{"containerPort": 80, "protocol": "TCP"}]));
    }

    #[test]
    fn errors_have_the_path_of_the_template() {
        for (yaml, want) in [
            ("{spec: {containers: [{name: c}]}}", vec!["spec.template.spec.containers[0].image: Required value"]),
            (
                "{metadata: {annotations: {kubernetes.io/config.mirror: x}}, spec: {containers: [{name: c, image: x}]}}",
                vec![
                    "spec.template.annotations[kubernetes.io/config.mirror]: Invalid value: \"x\": must set \
                     spec.nodeName if mirror pod annotation is set",
                ],
            ),
            (
                "{spec: {containers: [{name: c, image: x}], ephemeralContainers: [{name: d, image: x}]}}",
                vec![
                    "spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template",
                ],
            ),
            (
                "{spec: {hostNetwork: true, containers: [{name: c, image: x, ports: [{containerPort: 1, hostPort: 2}]}]}}",
                vec![
                    "spec.template.spec.containers[0].ports[0].hostPort: Invalid value: 2: must match \
                     `containerPort` when `hostNetwork` is true",
                ],
            ),
            ("{spec: {hostNetwork: true, containers: [{name: c, image: ' x', ports: [{containerPort: 1}]}]}}", vec![]),
        ] {
            assert_eq!(causes(yaml), want, "{yaml}");
        }
    }

    #[test]
    fn warnings_have_the_path_of_the_template() {
        let template = template(
            "{metadata: {annotations: {security.alpha.kubernetes.io/sysctls: x}}, \
             spec: {terminationGracePeriodSeconds: -1, nodeSelector: {beta.kubernetes.io/os: x}, \
             volumes: [{name: v, rbd: {monitors: [], image: x}}], containers: [{name: c, image: x}]}}",
        );
        let path = FieldPath::root("template");
        let want = [
            "template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "template.metadata.annotations[security.alpha.kubernetes.io/sysctls]: non-functional in v1.11+; use the \
             \"sysctls\" field instead",
            "template.spec.volumes[0].rbd: deprecated in v1.28, non-functional in v1.31+",
            "template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be \
             treated as 1",
        ];
        assert_eq!(warnings(path, &template), want);
    }
}
