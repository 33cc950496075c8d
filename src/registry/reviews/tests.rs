use serde_json::{Value, json};

use super::*;

/// Answers a review of the cluster admin in namespace `team`.
fn answer<T: Review>(review: Value) -> Result<Value, Status> {
    let user = cluster_admin();
    let context = ReviewContext {
        user: &user,
        namespace: "team",
        now: Timestamp::UNIX_EPOCH,
        authenticate: &|token| (token == "secret").then(cluster_admin),
    };
    let review: T = serde_json::from_value(review).expect("a review");
    review.answer(&context).map(|review| serde_json::to_value(review).expect("JSON"))
}

#[test]
fn reviews_answer_as_a_recorded_api_server() {
    let golden: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/golden/requests-workloads-1.36.json")).expect("golden data");
    let case = |name: &str| {
        let case = golden.iter().find(|case| case["name"] == name).expect(name);
        (case["request"]["body"].clone(), case["object"].clone())
    };
    let (question, want) = case("whoami");
    let mut sent = answer::<SelfSubjectReview>(question).expect("an answer");
    sent["metadata"] = json!({});
    assert_eq!(sent, want);
    let (question, want) = case("can-i");
    assert_eq!(answer::<SelfSubjectAccessReview>(question).expect("an answer"), want);
    let (question, want) = case("can-they");
    assert_eq!(answer::<SubjectAccessReview>(question).expect("an answer"), want);
}

#[test]
fn questions_are_about_a_resource_or_a_path() {
    let (resource, path) = (json!({"verb": "get", "resource": "pods"}), json!({"verb": "get", "path": "/"}));
    for (spec, want) in [
        (json!({"user": "a", "nonResourceAttributes": path}), ""),
        (json!({"groups": ["g"], "resourceAttributes": resource}), ""),
        (
            json!({"user": "a", "resourceAttributes": resource, "nonResourceAttributes": path}),
            "spec.nonResourceAttributes: Invalid value: {\"path\":\"/\",\"verb\":\"get\"}: cannot be specified in \
             combination with resourceAttributes",
        ),
        (
            json!({"user": "a"}),
            "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes \
             must be specified",
        ),
        (
            json!({"resourceAttributes": resource}),
            "spec.user: Invalid value: \"\": at least one of user or group must be specified",
        ),
    ] {
        let answer = answer::<SubjectAccessReview>(json!({"spec": spec}));
        let message = answer.map_or_else(|status| status.message, |_| String::new());
        let prefix = "SubjectAccessReview.authorization.k8s.io \"\" is invalid: ";
        assert_eq!(message.strip_prefix(prefix).unwrap_or_default(), want, "{message}");
    }
}

#[test]
fn local_reviews_stay_in_their_namespace() {
    let spec = |namespace: &str| json!({"user": "a", "groups": ["system:masters"], "resourceAttributes": {"namespace": namespace, "verb": "get"}});
    let allowed = answer::<LocalSubjectAccessReview>(json!({"spec": spec("team")})).expect("an answer");
    assert_eq!(allowed["status"]["allowed"], true);
    let error = answer::<LocalSubjectAccessReview>(json!({"spec": spec("other")})).expect_err("another namespace");
    assert_eq!(error.reason, Reason::Invalid);
    let elsewhere = json!({"metadata": {"namespace": "other"}, "spec": spec("other")});
    let error = answer::<LocalSubjectAccessReview>(elsewhere).expect_err("another namespace than the URL's");
    assert_eq!(error.reason, Reason::BadRequest);
}

#[test]
fn tokens_are_reviewed_by_authenticating_them() {
    let review = |spec: Value| answer::<TokenReview>(json!({"spec": spec}));
    let good = review(json!({"token": "secret"})).expect("an answer");
    assert_eq!(good["status"]["user"]["username"], "admin");
    assert_eq!(good["status"]["audiences"], json!([API_AUDIENCE]));
    for spec in [json!({"token": "wrong"}), json!({"token": "secret", "audiences": ["vault"]})] {
        let bad = review(spec).expect("an answer");
        assert_eq!(bad["status"], json!({"user": {}, "error": "invalid bearer token"}));
    }
    assert_eq!(review(json!({})).expect_err("no token").reason, Reason::BadRequest);
}

#[test]
fn admins_have_a_rule_for_everything() {
    let review = answer::<SelfSubjectRulesReview>(json!({"spec": {"namespace": "team"}})).expect("an answer");
    let everything = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
    assert_eq!(review["status"]["resourceRules"][0], everything);
    assert_eq!(review["status"]["nonResourceRules"][0], json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
    let error = answer::<SelfSubjectRulesReview>(json!({"spec": {}})).expect_err("no namespace");
    assert_eq!(error.message, "no namespace on request");
}
