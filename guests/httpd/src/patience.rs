//! Waiting with limits. Every pollable of a guest is looked at again whenever one of them moves, so
//! hundreds of connections must not bring a timer and a subscription each: they share one clock
//! that ticks once a second while somebody waits, and one notice of the pod's end.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wstd::time::Duration;

/// The shared clock and notice.
#[derive(Default)]
pub struct Patience {
    /// Whole seconds since the clock first ticked.
    seconds: Cell<u64>,
    ending: Cell<bool>,
    ticking: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

/// How a wait ended.
pub enum Waited<T> {
    Done(T),
    TooLong,
    /// The container was asked to end.
    Ending,
}

impl Patience {
    /// Begins to watch for the pod's end.
    pub fn begin() -> Rc<Patience> {
        let shared = Rc::new(Patience::default());
        let own = shared.clone();
        wstd::runtime::spawn(async move {
            lifecycle::termination().await;
            own.ending.set(true);
            own.wake();
        })
        .detach();
        shared
    }

    /// Whether the container was asked to end.
    pub fn ending(&self) -> bool {
        self.ending.get() || lifecycle::requested()
    }

    /// At most this many seconds, to the second.
    pub async fn within<T>(self: &Rc<Self>, seconds: u64, work: impl Future<Output = T>) -> Option<T> {
        match self.wait(Some(seconds), false, pin!(work)).await {
            Waited::Done(value) => Some(value),
            Waited::TooLong | Waited::Ending => None,
        }
    }

    /// The same, but the pod's end ends it too.
    pub async fn within_life<T>(self: &Rc<Self>, seconds: Option<u64>, work: impl Future<Output = T>) -> Waited<T> {
        self.wait(seconds, true, pin!(work)).await
    }

    async fn wait<T>(
        self: &Rc<Self>,
        limit: Option<u64>,
        heeds_end: bool,
        mut work: Pin<&mut dyn Future<Output = T>>,
    ) -> Waited<T> {
        let mut until = None;
        poll_fn(|cx: &mut Context<'_>| {
            if let Poll::Ready(value) = work.as_mut().poll(cx) {
                return Poll::Ready(Waited::Done(value));
            }
            if heeds_end && self.ending.get() {
                return Poll::Ready(Waited::Ending);
            }
            if let Some(limit) = limit {
                // One tick more: the first may come at once.
                let until = *until.get_or_insert(self.seconds.get() + limit + 1);
                if self.seconds.get() >= until {
                    return Poll::Ready(Waited::TooLong);
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

    /// Lets the clock run for as long as somebody waits.
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
