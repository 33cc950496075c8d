//! The processes of one component: the shells that run in it, each with a number, its pending signals and its exit
//! status. Connects `kill`, `wait` and the host's termination request.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

use wstd::runtime::Task;

use super::signal;

thread_local! {
    static TABLE: RefCell<Vec<Weak<Process>>> = const { RefCell::new(Vec::new()) };
    /// The number of the next process; `None` before the first.
    static NEXT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// The number of the second process: beyond those of other instances in the pod, which `kill` reaches as well.
const FIRST_INNER: u32 = 1001;

/// A shell or a background job.
pub struct Process {
    pub pid: u32,
    /// Signals that are not handled yet.
    pending: RefCell<VecDeque<i32>>,
    /// Bit n: signal n is ignored (`trap '' n`).
    ignored: Cell<u64>,
    status: Cell<Option<i32>>,
    wakers: RefCell<Vec<Waker>>,
    /// The task of a background job; dropping it terminates the job.
    task: RefCell<Option<Task<()>>>,
}

/// A signal arrived first.
pub struct Interrupted(pub i32);

impl Process {
    /// Creates a process; the first one has this instance's number in the pod.
    pub fn new() -> Rc<Process> {
        let pid = NEXT.get().unwrap_or_else(number_of_instance);
        NEXT.set(Some(FIRST_INNER.max(pid + 1)));
        let process = Rc::new(Process::with_pid(pid));
        TABLE.with(|table| table.borrow_mut().push(Rc::downgrade(&process)));
        process
    }

    fn with_pid(pid: u32) -> Process {
        Process {
            pid,
            pending: RefCell::default(),
            ignored: Cell::new(0),
            status: Cell::new(None),
            wakers: RefCell::default(),
            task: RefCell::new(None),
        }
    }

    pub fn find(pid: u32) -> Option<Rc<Process>> {
        TABLE.with(|table| table.borrow().iter().filter_map(Weak::upgrade).find(|p| p.pid == pid))
    }

    /// Makes the process the owner of its task.
    pub fn run(&self, task: Task<()>) {
        if self.status.get().is_none() {
            *self.task.borrow_mut() = Some(task);
        }
    }

    pub fn signal(&self, number: i32) {
        if self.ignored.get() & (1 << number) != 0 || self.status.get().is_some() {
            return;
        }
        if number == signal::KILL && self.task.borrow().is_some() {
            self.task.borrow_mut().take();
            self.exit(128 + number);
            return;
        }
        self.pending.borrow_mut().push_back(number);
        self.wake();
    }

    pub fn ignore(&self, number: i32, ignored: bool) {
        let bit = 1 << number;
        match ignored {
            true => self.ignored.set(self.ignored.get() | bit),
            false => self.ignored.set(self.ignored.get() & !bit),
        }
    }

    /// Ignores the signals that the parent ignores.
    pub fn ignore_like(&self, parent: &Process) {
        self.ignored.set(parent.ignored.get());
    }

    pub fn next_signal(&self) -> Option<i32> {
        self.pending.borrow_mut().pop_front()
    }

    /// Records the exit status and wakes those who wait for it.
    pub fn exit(&self, status: i32) {
        if self.status.get().is_none() {
            self.status.set(Some(status));
            if let Some(task) = self.task.borrow_mut().take() {
                task.detach();
            }
            self.wake();
        }
    }

    pub fn status(&self) -> Option<i32> {
        self.status.get()
    }

    pub async fn exited(&self) -> i32 {
        poll_fn(|cx| match self.status.get() {
            Some(status) => Poll::Ready(status),
            None => {
                self.watch(cx.waker());
                Poll::Pending
            }
        })
        .await
    }

    /// Awaits `work` until a signal arrives for this process; then drops `work`.
    pub async fn interruptible<T>(&self, work: impl Future<Output = T>) -> Result<T, Interrupted> {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if let Some(number) = self.pending.borrow().front() {
                return Poll::Ready(Err(Interrupted(*number)));
            }
            self.watch(cx.waker());
            Poll::Pending
        })
        .await
    }

    fn watch(&self, waker: &Waker) {
        let mut wakers = self.wakers.borrow_mut();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    fn wake(&self) {
        for waker in self.wakers.take() {
            waker.wake();
        }
    }
}

/// Returns the number of this instance: 1 only for the container's main program. An applet that signals (`kill 1`) must
/// not take itself for another.
fn number_of_instance() -> u32 {
    let arguments: Vec<String> = std::env::args().collect();
    crate::applets::find_own(&processes::list(), &arguments).unwrap_or(1)
}

impl Drop for Process {
    fn drop(&mut self) {
        // Subshells that were interrupted never reached `exit`.
        let _ = TABLE.try_with(|table| table.borrow_mut().retain(|other| other.strong_count() > 0));
    }
}
