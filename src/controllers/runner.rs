//! Runs a controller: feeds it the changes of the control plane, and the keys that they concern, one after another.
//!
//! The controller decides from the whole state, so that repeated and merged notices do no harm. One watch covers all
//! kinds, and an idle control plane costs nothing.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};

use super::work_queue::{WorkQueue, backoff};
use crate::clock::Clock;
use crate::control::{ChangeKind, ControlPlane, Object, Resource, Scope, Status, WatchEvent, WatchStream};
use crate::lifecycle::MonoTime;

/// Keys that are reconciled before changes are read and other tasks run.
const MAX_KEYS_PER_TURN: usize = 32;

/// What distinguishes a controller from others.
pub(super) trait Controller: Send {
    /// What is reconciled.
    type Key: Clone + Eq + Hash + Send + std::fmt::Debug;

    /// The time for which changes gather before they are read, for controllers that nobody waits for.
    const SETTLE_DELAY: Duration;

    /// Forgets all objects; those that exist follow as added.
    fn reset(&mut self);

    /// Takes in a change, and queues what it concerns.
    fn observe(&mut self, kind: ChangeKind, object: &Object, queue: &mut WorkQueue<Self::Key>, now: MonoTime);

    /// Does what is needed for `key`. After an error, it is called again later.
    fn reconcile(&mut self, key: &Self::Key) -> impl Future<Output = Result<(), Status>> + Send;
}

/// Runs one controller.
pub(super) struct Runner<C: Controller> {
    control: Arc<dyn ControlPlane>,
    clock: Clock,
    /// The kinds whose existing objects the controller learns at the start. It sees the changes of all kinds.
    listed: Vec<Resource>,
    controller: C,
    queue: WorkQueue<C::Key>,
}

impl<C: Controller> Runner<C> {
    pub fn new(control: Arc<dyn ControlPlane>, clock: Clock, listed: Vec<Resource>, controller: C) -> Runner<C> {
        Runner { control, clock, listed, controller, queue: WorkQueue::default() }
    }

    /// Runs the controller until cancelled. Lists again when its watch expires.
    pub async fn run(mut self) {
        let mut failures = 0;
        loop {
            let mut watch = match self.list().await {
                Ok(watch) => watch,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, "a controller cannot list its objects; retrying");
                    self.clock.sleep(backoff(failures)).await;
                    continue;
                }
            };
            failures = 0;
            if let Err(error) = self.follow(&mut watch).await {
                tracing::debug!(%error, "the watch of a controller ended; listing again");
            }
        }
    }

    /// Takes in all existing objects at one revision. Returns the watch of later changes.
    async fn list(&mut self) -> Result<WatchStream, Status> {
        let revision = self.control.revision().await?;
        self.controller.reset();
        self.queue = WorkQueue::default();
        for resource in &self.listed {
            let list = self.control.list_at(&Scope::all(resource.clone()), revision).await?;
            for object in list.items {
                self.controller.observe(ChangeKind::Added, &object, &mut self.queue, self.clock.mono());
            }
        }
        self.control.watch_all(revision).await
    }

    /// Follows the watch until it ends.
    async fn follow(&mut self, watch: &mut WatchStream) -> Result<(), Status> {
        loop {
            // Changes come before keys, so that no key is reconciled by older knowledge than needed.
            while let Some(event) = watch.next().now_or_never() {
                let Some(event) = event else { return Ok(()) };
                self.observe(event?);
            }
            if self.reconcile_due().await {
                tokio::task::yield_now().await;
                continue;
            }
            let event = match self.queue.next_due() {
                Some(due) => tokio::select! {
                    event = watch.next() => event,
                    () = self.clock.sleep_until(due) => continue,
                },
                None => watch.next().await,
            };
            let Some(event) = event else { return Ok(()) };
            self.observe(event?);
            if !C::SETTLE_DELAY.is_zero() {
                self.clock.sleep(C::SETTLE_DELAY).await;
            }
        }
    }

    fn observe(&mut self, event: WatchEvent) {
        if let WatchEvent::Change(kind, object) = event {
            self.controller.observe(kind, &object, &mut self.queue, self.clock.mono());
        }
    }

    /// Reconciles keys that are due, a turn's worth of them. Returns whether there was one.
    async fn reconcile_due(&mut self) -> bool {
        for turn in 0..MAX_KEYS_PER_TURN {
            let Some(key) = self.queue.pop(self.clock.mono()) else { return turn > 0 };
            match self.controller.reconcile(&key).await {
                Ok(()) => self.queue.forget(&key),
                Err(error) => {
                    tracing::debug!(?key, %error, "cannot reconcile; retrying");
                    self.queue.retry(key, self.clock.mono());
                }
            }
        }
        true
    }
}
