//! The state that all requests share.

use std::collections::HashMap;
use std::sync::Arc;

use super::health::HealthCheck;
use crate::budget::RetainedMemory;
use crate::clock::Clock;
use crate::control::ControlPlane;
use crate::node::Handle;
use crate::store::ObjectStore;

/// The state of the API server.
pub struct Api {
    /// The control plane, which stores the objects.
    pub control: Arc<dyn ControlPlane>,
    /// The nodes of this process, by name.
    pub nodes: HashMap<String, Handle>,
    /// The clock for ages and log options.
    pub clock: Clock,
    /// Checks of `/livez` and `/healthz`.
    pub live: Vec<HealthCheck>,
    /// Checks of `/readyz`.
    pub ready: Vec<HealthCheck>,
    /// The store whose usage `/debug/storage` reports, and whose account watches share; without it, there are neither.
    pub store: Option<Arc<ObjectStore>>,
}

impl Api {
    /// Returns the account of what watches keep.
    pub(super) fn retained_memory(&self) -> Arc<RetainedMemory> {
        self.store.as_ref().map_or_else(RetainedMemory::unlimited, |store| store.retained_memory().clone())
    }
}
