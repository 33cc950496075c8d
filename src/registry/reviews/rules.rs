//! The rules that answer which permissions a user has: those of Kubernetes' own roles for all users.

use k8s_openapi::api::authorization::v1::{NonResourceRule, ResourceRule, SubjectRulesReviewStatus};

/// Returns the rules of a user who may do everything, or nothing beyond asking about themselves.
pub fn rules_of(may_do_everything: bool) -> SubjectRulesReviewStatus {
    let mut status = SubjectRulesReviewStatus::default();
    if may_do_everything {
        status.resource_rules.push(resource_rule("*", "*", &["*"]));
        status.non_resource_rules.push(path_rule("*", &["*"]));
    }
    let access_reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"];
    status.resource_rules.extend([
        resource_rule("create", "authorization.k8s.io", &access_reviews),
        resource_rule("create", "authentication.k8s.io", &["selfsubjectreviews"]),
    ]);
    let (health, version) = (["/healthz", "/livez", "/readyz"], ["/version", "/version/"]);
    let discovery = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"];
    status.non_resource_rules.extend([
        path_rule("get", &[discovery.as_slice(), &health, &version].concat()),
        path_rule("get", &[health.as_slice(), &version].concat()),
    ]);
    status
}

fn resource_rule(verb: &str, group: &str, resources: &[&str]) -> ResourceRule {
    ResourceRule {
        verbs: vec![verb.into()],
        api_groups: Some(vec![group.into()]),
        resources: Some(resources.iter().map(ToString::to_string).collect()),
        resource_names: None,
    }
}

fn path_rule(verb: &str, paths: &[&str]) -> NonResourceRule {
    NonResourceRule {
        verbs: vec![verb.into()],
        non_resource_urls: Some(paths.iter().map(ToString::to_string).collect()),
    }
}
