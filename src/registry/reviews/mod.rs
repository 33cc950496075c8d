//! Reviews: questions about users and what they may do, which are answered and never stored (`authentication.k8s.io` and
//! `authorization.k8s.io`).
//!
//! Permissions are not decided by roles yet: members of `system:masters` may do everything, all others nothing.

mod kind;
mod rules;
mod validation;

pub(super) use kind::ReviewOf;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{
    SelfSubjectReview, SelfSubjectReviewStatus, TokenReview, TokenReviewStatus, UserInfo,
};
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec,
    SubjectAccessReview, SubjectAccessReviewStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::fields::ErrorList;
use super::strategy::KindInfo;
use crate::control::{Reason, Resource, Status};
use crate::model::object::ApiType;
use crate::model::pods;

/// The group whose members may do everything.
const MASTERS: &str = "system:masters";
/// The audience of tokens that name none.
const API_AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

/// Returns the user of the token that may do everything.
pub fn cluster_admin() -> UserInfo {
    UserInfo {
        username: Some("admin".into()),
        uid: Some("admin".into()),
        groups: Some(vec![MASTERS.into(), "system:authenticated".into()]),
        extra: None,
    }
}

/// What an answer depends on, beside the review itself.
pub struct ReviewContext<'r> {
    /// The user who asks.
    pub user: &'r UserInfo,
    /// The namespace in the URL; empty for cluster-scoped kinds.
    pub namespace: &'r str,
    /// The time of the request.
    pub now: Timestamp,
    /// Returns the user of a token, or `None` if the token is not valid.
    pub authenticate: &'r dyn Fn(&str) -> Option<UserInfo>,
}

/// A kind of review.
pub trait Review: ApiType {
    /// What discovery says of the kind.
    const INFO: KindInfo;

    /// Answers the review.
    ///
    /// # Errors
    ///
    /// 400 `BadRequest` or 422 `Invalid` if the question is not valid.
    fn answer(self, context: &ReviewContext<'_>) -> Result<Self, Status>;
}

const fn info(singular: &'static str) -> KindInfo {
    KindInfo { verbs: &["create"], is_acted_on: true, ..KindInfo::new(singular, "") }
}

impl Review for SelfSubjectReview {
    const INFO: KindInfo = info("selfsubjectreview");

    fn answer(self, context: &ReviewContext<'_>) -> Result<Self, Status> {
        let metadata = ObjectMeta { creation_timestamp: Some(pods::api_time(context.now)), ..ObjectMeta::default() };
        let status = SelfSubjectReviewStatus { user_info: Some(context.user.clone()) };
        Ok(SelfSubjectReview { metadata, status: Some(status) })
    }
}

impl Review for TokenReview {
    const INFO: KindInfo = info("tokenreview");

    fn answer(mut self, context: &ReviewContext<'_>) -> Result<Self, Status> {
        if self.spec.token.is_empty() {
            return Err(bad_request("token is required for TokenReview in authentication"));
        }
        let audiences = self.spec.audiences.as_deref().unwrap_or_default();
        let is_for_api = audiences.is_empty() || audiences.iter().any(|audience| audience == API_AUDIENCE);
        self.status = Some(match (context.authenticate)(&self.spec.token).filter(|_| is_for_api) {
            Some(user) => TokenReviewStatus {
                authenticated: Some(true),
                audiences: Some(vec![API_AUDIENCE.into()]),
                user: Some(user),
                error: None,
            },
            None => TokenReviewStatus {
                user: Some(UserInfo::default()),
                error: Some("invalid bearer token".into()),
                ..TokenReviewStatus::default()
            },
        });
        Ok(self)
    }
}

impl Review for SelfSubjectAccessReview {
    const INFO: KindInfo = info("selfsubjectaccessreview");

    fn answer(mut self, context: &ReviewContext<'_>) -> Result<Self, Status> {
        let mut errors = ErrorList::default();
        let spec = &self.spec;
        let (resource, path) = (spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref());
        validation::validate_attributes(&mut errors, resource, path);
        validation::validate_selectors(&mut errors, resource);
        validation::validate_no_metadata(&mut errors, &self.metadata);
        reject_invalid::<Self>(errors)?;
        self.status = Some(decide(context.user.groups.as_deref()));
        Ok(self)
    }
}

impl Review for SubjectAccessReview {
    const INFO: KindInfo = info("subjectaccessreview");

    fn answer(mut self, _context: &ReviewContext<'_>) -> Result<Self, Status> {
        let mut errors = ErrorList::default();
        validation::validate_subject(&mut errors, &self.spec);
        validation::validate_no_metadata(&mut errors, &self.metadata);
        reject_invalid::<Self>(errors)?;
        self.status = Some(decide(self.spec.groups.as_deref()));
        Ok(self)
    }
}

impl Review for LocalSubjectAccessReview {
    const INFO: KindInfo = info("localsubjectaccessreview");

    fn answer(mut self, context: &ReviewContext<'_>) -> Result<Self, Status> {
        let namespace = self.metadata.namespace.get_or_insert_with(|| context.namespace.into());
        if namespace.as_str() != context.namespace {
            return Err(super::identity::namespace_mismatch());
        }
        let mut errors = ErrorList::default();
        validation::validate_subject(&mut errors, &self.spec);
        validation::validate_local(&mut errors, &self.metadata, &self.spec);
        reject_invalid::<Self>(errors)?;
        self.status = Some(decide(self.spec.groups.as_deref()));
        Ok(self)
    }
}

impl Review for SelfSubjectRulesReview {
    const INFO: KindInfo = info("selfsubjectrulesreview");

    fn answer(self, context: &ReviewContext<'_>) -> Result<Self, Status> {
        if self.spec.namespace.as_deref().unwrap_or_default().is_empty() {
            return Err(bad_request("no namespace on request"));
        }
        Ok(SelfSubjectRulesReview {
            metadata: ObjectMeta::default(),
            spec: SelfSubjectRulesReviewSpec::default(),
            status: Some(rules::rules_of(may_do_everything(context.user.groups.as_deref()))),
        })
    }
}

fn may_do_everything(groups: Option<&[String]>) -> bool {
    groups.unwrap_or_default().iter().any(|group| group == MASTERS)
}

fn decide(groups: Option<&[String]>) -> SubjectAccessReviewStatus {
    SubjectAccessReviewStatus { allowed: may_do_everything(groups), ..SubjectAccessReviewStatus::default() }
}

fn reject_invalid<T: Review>(errors: ErrorList) -> Result<(), Status> {
    let causes = errors.into_causes();
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(&Resource::of::<T>().qualified_kind(), "", causes)) }
}

fn bad_request(message: &str) -> Status {
    Status::new(Reason::BadRequest, message)
}

#[cfg(test)]
mod tests;
