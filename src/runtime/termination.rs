//! `wasmpod:lifecycle/termination`: how a guest learns that it is asked to end (`wit/lifecycle.wit`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::host::Host;

/// The interface that a guest imports to handle its end itself.
pub const INTERFACE: &str = "wasmpod:lifecycle/termination@0.1.0";

/// The notice that one instance may wait for.
#[derive(Default)]
pub struct Notice {
    given: AtomicBool,
    changed: Notify,
}

impl Notice {
    /// Gives the notice; once given it stays.
    pub fn give(&self) {
        self.given.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    pub fn is_given(&self) -> bool {
        self.given.load(Ordering::SeqCst)
    }

    async fn wait(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_given() {
                return;
            }
            changed.await;
        }
    }
}

/// The guest's subscription.
struct Subscription(Arc<Notice>);

#[wasmtime_wasi::async_trait]
impl Pollable for Subscription {
    async fn ready(&mut self) {
        self.0.wait().await;
    }
}

/// Offers the interface to components.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap("requested", |store, (): ()| Ok((store.data().notice.is_given(),)))?;
    interface.func_wrap("subscribe", |mut store, (): ()| {
        let host = store.data_mut();
        let subscription = host.table.push(Subscription(host.notice.clone()))?;
        let pollable: Resource<DynPollable> = subscribe(&mut host.table, subscription)?;
        Ok((pollable,))
    })
}
