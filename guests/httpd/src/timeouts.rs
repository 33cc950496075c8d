//! Waiting with timeouts.
//!
//! The guest looks at all its pollables whenever one of them becomes ready, so hundreds of connections must not add a
//! timer and a subscription each: they share one clock, which ticks once a second while it is needed, and one
//! subscription to the termination request.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wstd::time::Duration;

/// The shared clock and termination request.
#[derive(Default)]
pub struct Timeouts {
    /// Whole seconds since the clock first ticked.
    seconds: Cell<u64>,
    terminating: Cell<bool>,
    ticking: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

/// How a wait ended.
pub enum WaitOutcome<T> {
    Done(T),
    TimedOut,
    /// The container was asked to terminate.
    Terminating,
}

impl Timeouts {
    /// Starts to wait for the termination request.
    pub fn start() -> Rc<Timeouts> {
        let shared = Rc::new(Timeouts::default());
        let own = shared.clone();
        wstd::runtime::spawn(async move {
            lifecycle::termination().await;
            own.terminating.set(true);
            own.wake();
        })
        .detach();
        shared
    }

    /// Whether the container was asked to terminate.
    pub fn is_terminating(&self) -> bool {
        self.terminating.get() || lifecycle::requested()
    }

    /// Awaits `work` for at most this many seconds.
    pub async fn within<T>(self: &Rc<Self>, seconds: u64, work: impl Future<Output = T>) -> Option<T> {
        match self.wait(Some(seconds), false, pin!(work)).await {
            WaitOutcome::Done(value) => Some(value),
            WaitOutcome::TimedOut | WaitOutcome::Terminating => None,
        }
    }

    /// Like [`Timeouts::within`], but also ends when the container is asked to terminate.
    pub async fn until_termination<T>(
        self: &Rc<Self>,
        seconds: Option<u64>,
        work: impl Future<Output = T>,
    ) -> WaitOutcome<T> {
        self.wait(seconds, true, pin!(work)).await
    }

    async fn wait<T>(
        self: &Rc<Self>,
        limit: Option<u64>,
        stops_on_termination: bool,
        mut work: Pin<&mut dyn Future<Output = T>>,
    ) -> WaitOutcome<T> {
        let mut until = None;
        poll_fn(|cx: &mut Context<'_>| {
            if let Poll::Ready(value) = work.as_mut().poll(cx) {
                return Poll::Ready(WaitOutcome::Done(value));
            }
            if stops_on_termination && self.terminating.get() {
                return Poll::Ready(WaitOutcome::Terminating);
            }
            if let Some(limit) = limit {
                // One more, because the first tick may follow at once.
                let until = *until.get_or_insert(self.seconds.get() + limit + 1);
                if self.seconds.get() >= until {
                    return Poll::Ready(WaitOutcome::TimedOut);
                }
                self.tick();
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Starts the next tick unless one is on its way.
    fn tick(self: &Rc<Self>) {
        if self.ticking.replace(true) {
            return;
        }
        let own = self.clone();
        wstd::runtime::spawn(async move {
            wstd::task::sleep(Duration::from_secs(1)).await;
            own.seconds.set(own.seconds.get() + 1);
            own.ticking.set(false);
            own.wake();
        })
        .detach();
    }

    fn wake(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }
}
