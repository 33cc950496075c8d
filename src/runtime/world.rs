//! A World: everything that the instances of one container attempt share.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::sync::oneshot;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::exit::{Exit, error_chain, of_error};
use super::guests::Guests;
use super::host::{Host, ModuleHost, preopen};
use super::memory::{MemoryBudget, MemoryCharge};
use super::program::{Kind, Program};
use super::stdio::Stdio;
use super::termination::Notice;
use super::{Runtime, ticker::Ticker};
use crate::files::Mounts;
use crate::network::Endpoint;

/// See the module's documentation.
pub struct World {
    /// Runs the instances, on its guests' threads.
    pub runtime: Arc<Runtime>,
    /// The container's name, for messages.
    pub name: String,
    /// The files that the instances see.
    pub mounts: Arc<Mounts>,
    /// The container's place in its pod's network.
    pub endpoint: Arc<Endpoint>,
    /// The instances' environment variables, as name and value.
    pub env: Vec<(String, String)>,
    /// What instances are told is their initial working directory (`wasi:cli/environment`).
    pub working_dir: String,
    /// The linear memory that the instances may hold together.
    pub memory: Arc<MemoryBudget>,
    /// Whom the instances are counted with.
    pub guests: Arc<Guests>,
}

/// How an instance is being ended.
#[derive(Default)]
pub(super) struct End {
    /// 0 while nobody ends it, else a [`By`].
    by: AtomicU8,
    /// The task that runs the instance.
    task: AtomicWaker,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Kill = 1,
    /// The default action of a request to end.
    Request = 2,
}

impl End {
    /// Ends it wherever it is; one that computes notices at the next tick.
    pub(super) fn kill(&self) {
        self.set(By::Kill);
    }

    fn set(&self, by: By) {
        // The first one counts, so that a kill that follows a finished request changes nothing.
        let _ = self.by.compare_exchange(0, by as u8, Ordering::SeqCst, Ordering::SeqCst);
        self.task.wake();
    }

    fn by(&self) -> Option<By> {
        match self.by.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(By::Kill),
            _ => Some(By::Request),
        }
    }
}

/// A running instance of a program. Dropping it kills the instance.
pub struct Instance {
    control: Control,
    begun: oneshot::Receiver<()>,
    exit: oneshot::Receiver<Exit>,
}

/// Ends an instance from elsewhere.
#[derive(Clone)]
pub struct Control {
    end: Arc<End>,
    notice: Arc<Notice>,
    endpoint: Arc<Endpoint>,
    runtime: Arc<Runtime>,
    handles_termination: bool,
}

impl Control {
    fn end(&self, by: By) {
        self.end.set(by);
        // A guest that computes looks at the next tick, which is now.
        self.runtime.engine().increment_epoch();
    }

    /// Ends the instance wherever it is.
    pub fn kill(&self) {
        self.end(By::Kill);
    }

    /// Asks the instance to end. One that does not handle that refuses new connections, may finish
    /// the accepted ones, and ends.
    pub fn ask_to_exit(&self) {
        if self.handles_termination {
            self.notice.give();
            return;
        }
        self.endpoint.drain();
        let control = self.clone();
        self.runtime.spawn(async move {
            control.endpoint.quiet().await;
            control.end(By::Request);
        });
    }
}

impl Instance {
    /// What ends it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Waits until the program is instantiated and runs; false if it ended before that.
    pub async fn begun(&mut self) -> bool {
        (&mut self.begun).await.is_ok()
    }

    /// Waits for the end. Cancel-safe.
    pub async fn exited(&mut self) -> Exit {
        // The sender is gone without a word only if the guests' runtime was shut down.
        (&mut self.exit).await.unwrap_or(Exit::Killed)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.control.kill();
    }
}

impl World {
    /// Starts an instance of `program` with `argv`, on the guests' own threads.
    pub fn spawn(&self, program: Arc<Program>, argv: &[String], stdio: Stdio) -> Instance {
        let end = Arc::new(End::default());
        let notice = Arc::new(Notice::default());
        let control = Control {
            end: end.clone(),
            notice: notice.clone(),
            endpoint: self.endpoint.clone(),
            runtime: self.runtime.clone(),
            handles_termination: program.handles_termination,
        };
        let (tell_begun, begun) = oneshot::channel();
        let mut wasi = WasiCtx::builder();
        wasi.args(argv).envs(&self.env).initial_cwd(&self.working_dir).allow_udp(false);
        stdio.connect(&mut wasi);
        let start = Start {
            engine: self.runtime.engine().clone(),
            program,
            wasi,
            mounts: self.mounts.clone(),
            memory: MemoryCharge::new(self.memory.clone()),
            endpoint: self.endpoint.clone(),
            notice,
            end: end.clone(),
            begun: Some(tell_begun),
        };
        let (told, exit) = oneshot::channel();
        let guest = self.guests.enter(&end);
        let running = Watched { running: Some(Box::pin(start.run())), end, runtime: self.runtime.clone() };
        let name = self.name.clone();
        self.runtime.spawn(async move {
            // A panic in host code is this instance's end and nobody else's.
            let exit = match futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(running)).await {
                Ok(exit) => exit,
                Err(_) => Exit::Trap { code: 134, message: "wasmpod itself failed while running this guest".into() },
            };
            if let Some(message) = exit.message() {
                stdio.report(&format!("{name}: {message}"));
            }
            stdio.close();
            drop(guest);
            // Whoever started it may be gone.
            let _ = told.send(exit);
        });
        Instance { control, begun, exit }
    }
}

/// What an instance needs to begin; becomes its future.
struct Start {
    engine: Engine,
    program: Arc<Program>,
    wasi: WasiCtxBuilder,
    mounts: Arc<Mounts>,
    memory: MemoryCharge,
    endpoint: Arc<Endpoint>,
    notice: Arc<Notice>,
    end: Arc<End>,
    begun: Option<oneshot::Sender<()>>,
}

impl Start {
    /// The program is about to run.
    fn tell(begun: Option<oneshot::Sender<()>>) {
        if let Some(begun) = begun {
            // Whoever started it may not care.
            let _ = begun.send(());
        }
    }

    async fn run(mut self) -> Exit {
        let program = self.program.clone();
        let begun = self.begun.take();
        match &program.kind {
            Kind::Module(pre) => {
                if let Err(error) = preopen(&mut self.wasi, &self.mounts) {
                    return Exit::StartError { message: error_chain(&error) };
                }
                let host = ModuleHost { wasi: self.wasi.build_p1(), memory: self.memory };
                let mut store = store(&self.engine, host, self.end);
                store.limiter(|host| &mut host.memory);
                let ran = async {
                    let instance = pre.instantiate_async(&mut store).await?;
                    Start::tell(begun);
                    instance.get_typed_func::<(), ()>(&mut store, "_start")?.call_async(&mut store, ()).await
                };
                of_result(ran.await.map(Ok))
            }
            Kind::Command2(pre) => {
                let mut store = self.into_store();
                let ran = async {
                    let command = pre.instantiate_async(&mut store).await?;
                    Start::tell(begun);
                    command.wasi_cli_run().call_run(&mut store).await
                };
                of_result(ran.await)
            }
            Kind::Command3(pre) => {
                let mut store = self.into_store();
                let ran = async {
                    let instance = pre.instantiate_async(&mut store).await?;
                    let command = wasmtime_wasi::p3::bindings::Command::new(&mut store, &instance)?;
                    Start::tell(begun);
                    store.run_concurrent(async move |store| command.wasi_cli_run().call_run(store).await).await?
                };
                of_result(ran.await)
            }
        }
    }

    fn into_store(mut self) -> Store<Host> {
        let host = Host {
            wasi: self.wasi.build(),
            table: ResourceTable::new(),
            memory: self.memory,
            notice: self.notice,
            endpoint: self.endpoint,
            mounts: Some(self.mounts),
        };
        let mut store = store(&self.engine, host, self.end);
        store.limiter(|host| &mut host.memory);
        store
    }
}

/// A store whose guest yields at every tick and stops there once it is ended.
fn store<T: 'static>(engine: &Engine, host: T, end: Arc<End>) -> Store<T> {
    let mut store = Store::new(engine, host);
    store.epoch_deadline_callback(move |_| {
        Ok(match end.by() {
            Some(_) => UpdateDeadline::Interrupt,
            None => UpdateDeadline::YieldCustom(1, Box::pin(to_the_end_of_the_queue())),
        })
    });
    store.set_epoch_deadline(1);
    store
}

/// Lets every other guest of this thread have its turn. tokio's `yield_now` would not do: the task
/// that it wakes goes ahead of the queue, so that one spinning guest per thread starves all others.
async fn to_the_end_of_the_queue() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        // Woken while it is polled, a task goes to the end.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn of_result(result: wasmtime::Result<Result<(), ()>>) -> Exit {
    match result {
        Ok(Ok(())) => Exit::Code(0),
        Ok(Err(())) => Exit::Code(1),
        Err(error) => match error.downcast_ref::<super::host::PreopenError>() {
            Some(files) => Exit::StartError { message: error_chain(files) },
            None => of_error(&error),
        },
    }
}

/// Runs a guest until it ends or is ended; tells the ticker while it computes.
struct Watched {
    running: Option<Pin<Box<dyn Future<Output = Exit> + Send>>>,
    end: Arc<End>,
    runtime: Arc<Runtime>,
}

impl Watched {
    fn ended(&mut self) -> Option<Exit> {
        let exit = match self.end.by()? {
            By::Kill => Exit::Killed,
            By::Request => Exit::Terminated,
        };
        // Unwinds the guest's stack and gives back all that it holds.
        self.running = None;
        Some(exit)
    }
}

impl Future for Watched {
    type Output = Exit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exit> {
        self.end.task.register(cx.waker());
        if let Some(exit) = self.ended() {
            return Poll::Ready(exit);
        }
        let runtime = self.runtime.clone();
        let Some(running) = self.running.as_mut() else { return Poll::Ready(Exit::Killed) };
        let ticker: &Ticker = runtime.ticker();
        let computing = ticker.computing();
        // Epochs make guests yield; tokio's own budget would, to a guest that waits for more things
        // than it allows to be ready at once, make all of them look pending for ever.
        let polled = pin!(tokio::task::unconstrained(running.as_mut())).poll(cx);
        drop(computing);
        match polled {
            // An end that came while it computed shows as a trap; it is told as what it is.
            Poll::Ready(exit) => Poll::Ready(match &exit {
                Exit::Trap { .. } => self.ended().unwrap_or(exit),
                _ => exit,
            }),
            Poll::Pending => self.ended().map_or(Poll::Pending, Poll::Ready),
        }
    }
}
