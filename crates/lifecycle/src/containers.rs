//! The containers of a pod, in the order of its spec.

use k8s_openapi::api::core::v1::PodSpec;

use super::container::Container;
use super::policy::{ContainerKind, RestartPolicy};
use super::{Attempt, ContainerRef, ContainerRole};
use wasmpod_model::pods;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Containers {
    pub(super) init: Vec<Container>,
    pub(super) apps: Vec<Container>,
    /// In the order in which they were added. The spec's order may differ: a strategic merge patch puts the newest
    /// first.
    pub(super) ephemeral: Vec<Container>,
}

impl Containers {
    pub(super) fn new(spec: &PodSpec) -> Containers {
        let policy = RestartPolicy::from_name(spec.restart_policy.as_deref());
        let init = pods::init_containers(spec).iter();
        Containers {
            init: init.map(|c| Container::new(c, ContainerRole::Init, policy)).collect(),
            apps: spec.containers.iter().map(|c| Container::new(c, ContainerRole::App, policy)).collect(),
            ephemeral: spec.ephemeral_containers.iter().flatten().map(Container::ephemeral).collect(),
        }
    }

    pub(super) fn get(&self, at: ContainerRef) -> Option<&Container> {
        let list = match at.role {
            ContainerRole::Init => &self.init,
            ContainerRole::App => &self.apps,
            ContainerRole::Ephemeral => &self.ephemeral,
        };
        list.get(at.index)
    }

    pub(super) fn get_mut(&mut self, at: ContainerRef) -> Option<&mut Container> {
        let list = match at.role {
            ContainerRole::Init => &mut self.init,
            ContainerRole::App => &mut self.apps,
            ContainerRole::Ephemeral => &mut self.ephemeral,
        };
        list.get_mut(at.index)
    }

    /// Returns the container whose current attempt is `attempt`.
    pub(super) fn with_attempt(&mut self, attempt: Attempt) -> Option<&mut Container> {
        self.get_mut(attempt.container).filter(|container| container.attempt.number == attempt.number)
    }

    pub(super) fn name_of(&self, at: ContainerRef) -> Option<&str> {
        self.get(at).map(|container| container.spec.name.as_str())
    }

    pub(super) fn find_mut(&mut self, name: &str) -> Option<&mut Container> {
        self.values_mut().find(|container| container.spec.name == name)
    }

    pub(super) fn has_sidecars(&self) -> bool {
        self.init.iter().any(|container| container.kind() == ContainerKind::Sidecar)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Container> {
        self.init.iter().chain(&self.apps).chain(&self.ephemeral)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Container> {
        self.init.iter_mut().chain(&mut self.apps).chain(&mut self.ephemeral)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ContainerRef, &Container)> {
        let place = |role| move |(index, container)| (ContainerRef { role, index }, container);
        let init = self.init.iter().enumerate().map(place(ContainerRole::Init));
        let apps = self.apps.iter().enumerate().map(place(ContainerRole::App));
        init.chain(apps).chain(self.ephemeral.iter().enumerate().map(place(ContainerRole::Ephemeral)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ContainerRef, &mut Container)> {
        let place = |role| move |(index, container)| (ContainerRef { role, index }, container);
        let init = self.init.iter_mut().enumerate().map(place(ContainerRole::Init));
        let apps = self.apps.iter_mut().enumerate().map(place(ContainerRole::App));
        init.chain(apps).chain(self.ephemeral.iter_mut().enumerate().map(place(ContainerRole::Ephemeral)))
    }
}
