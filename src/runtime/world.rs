//! A World: everything that the instances of one container attempt share.
//!
//! It has one program, [`ContainerContext::spawn`]; probes, hooks and exec are further instances beside it,
//! [`ContainerContext::exec`], which see the same files, network and environment, are charged to the same account,
//! and end when the program does, as processes end with the first of their PID namespace.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::clocks;
use super::exit::{Exit, error_chain, of_error};
use super::guests::InstanceSet;
use super::host::{Host, ModuleHost, preopen};
use super::instance::{Instance, InstanceHandle, KillSwitch, StopReason};
use super::memory::Memory;
use super::metering::{Meter, Slice, to_the_end_of_the_queue};
use super::program::{Program, ProgramKind};
use super::stdio::Stdio;
use super::termination::TerminationNotice;
use super::{Runtime, ticker::Ticker};
use crate::budget::{Account, Resource};
use crate::clock::Clock;
use crate::files::Mounts;
use crate::network::Endpoint;

/// See the module's documentation.
pub struct ContainerContext {
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
    /// The instances' time.
    pub clock: Clock,
    /// What the instances may hold and use together.
    pub account: Arc<Account>,
    /// Whom the instances are counted with.
    pub guests: Arc<InstanceSet>,
    /// The instances of this World: the program and what was exec'd beside it.
    pub instances: Arc<InstanceSet>,
}

/// What an instance is to its World.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InstanceRole {
    Program,
    Exec,
}

impl ContainerContext {
    /// Starts the World's program with `argv`, on the guests' own threads. Its end ends all that was
    /// exec'd beside it.
    pub fn spawn(&self, program: Arc<Program>, argv: &[String], stdio: Stdio) -> Instance {
        self.start(InstanceRole::Program, program, argv, stdio)
    }

    /// Starts an instance beside the World's program. Asked to end, it leaves the container's listeners
    /// alone; once the program has ended, it is killed.
    pub fn exec(&self, program: Arc<Program>, argv: &[String], stdio: Stdio) -> Instance {
        self.start(InstanceRole::Exec, program, argv, stdio)
    }

    /// Kills all instances, of now and of later.
    pub fn end_all(&self) {
        self.instances.kill(&self.runtime);
    }

    fn start(&self, part: InstanceRole, program: Arc<Program>, argv: &[String], stdio: Stdio) -> Instance {
        let end = Arc::new(KillSwitch::default());
        let notice = Arc::new(TerminationNotice::default());
        let control = InstanceHandle {
            end: end.clone(),
            notice: notice.clone(),
            endpoint: (part == InstanceRole::Program).then(|| self.endpoint.clone()),
            account: self.account.clone(),
            clock: self.clock,
            runtime: self.runtime.clone(),
            handles_termination: program.handles_termination,
        };
        let (tell_begun, begun) = oneshot::channel();
        let mut wasi = WasiCtx::builder();
        wasi.args(argv).envs(&self.env).initial_cwd(&self.working_dir).allow_udp(false);
        stdio.connect(&mut wasi, self.clock);
        clocks::set(&mut wasi, self.clock);
        let slice = Arc::new(Slice::default());
        let start = Start {
            runtime: self.runtime.clone(),
            program,
            wasi,
            mounts: self.mounts.clone(),
            clock: self.clock,
            account: self.account.clone(),
            endpoint: self.endpoint.clone(),
            notice,
            end: end.clone(),
            slice: slice.clone(),
            begun: Some(tell_begun),
        };
        let (told, exit) = oneshot::channel();
        let guests = [self.guests.enter(&end), self.instances.enter(&end)];
        let meter = Meter::new(self.account.clone(), slice.clone());
        let running =
            GuestTask { running: Some(Box::pin(start.run())), end, meter, slice, runtime: self.runtime.clone() };
        let (name, clock) = (self.name.clone(), self.clock);
        let (instances, runtime) = (self.instances.clone(), self.runtime.clone());
        self.runtime.spawn(async move {
            // A panic in host code is this instance's end and nobody else's.
            let exit = match futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(running)).await {
                Ok(exit) => exit,
                Err(_) => Exit::Trap { code: 134, message: "wasmpod itself failed while running this guest".into() },
            };
            if part == InstanceRole::Program {
                instances.kill(&runtime);
            }
            if let Some(message) = exit.message() {
                stdio.report(&format!("{name}: {message}"), clock);
            }
            stdio.close(clock);
            drop(guests);
            // Whoever started it may be gone.
            let _ = told.send(exit);
        });
        Instance { control, begun, exit }
    }
}

/// What an instance needs to begin; becomes its future.
struct Start {
    runtime: Arc<Runtime>,
    program: Arc<Program>,
    wasi: WasiCtxBuilder,
    mounts: Arc<Mounts>,
    clock: Clock,
    account: Arc<Account>,
    endpoint: Arc<Endpoint>,
    notice: Arc<TerminationNotice>,
    end: Arc<KillSwitch>,
    slice: Arc<Slice>,
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
        // Held until the instance has ended.
        let _instance = match self.account.charge(Resource::Instances, 1) {
            Ok(instance) => instance,
            Err(refused) => {
                let message = format!("too many programs run at once in its container: {refused}");
                return Exit::StartError { message };
            }
        };
        match &program.kind {
            ProgramKind::Module(pre) => {
                if let Err(error) = preopen(&mut self.wasi, &self.mounts) {
                    return Exit::StartError { message: error_chain(&error) };
                }
                let memory = Memory::new(self.account.charge(Resource::Memory, 0).ok());
                let (notice, clock) = (self.notice, self.clock);
                let host = ModuleHost { wasi: self.wasi.build_p1(), memory, notice, clock, stdin: None };
                let mut store = store(self.runtime, host, self.end, self.slice);
                store.limiter(|host| &mut host.memory);
                let ran = async {
                    let instance = pre.instantiate_async(&mut store).await?;
                    Start::tell(begun);
                    instance.get_typed_func::<(), ()>(&mut store, "_start")?.call_async(&mut store, ()).await
                };
                of_result(ran.await.map(Ok))
            }
            ProgramKind::Command2(pre) => {
                let mut store = self.into_store();
                let ran = async {
                    let command = pre.instantiate_async(&mut store).await?;
                    Start::tell(begun);
                    command.wasi_cli_run().call_run(&mut store).await
                };
                of_result(ran.await)
            }
            ProgramKind::Command3(pre) => {
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
            memory: Memory::new(self.account.charge(Resource::Memory, 0).ok()),
            notice: self.notice,
            clock: self.clock,
            endpoint: self.endpoint,
            mounts: Some(self.mounts),
        };
        let mut store = store(self.runtime, host, self.end, self.slice);
        store.limiter(|host| &mut host.memory);
        store
    }
}

/// A store whose guest yields at every tick and stops there once it is ended.
fn store<T: 'static>(runtime: Arc<Runtime>, host: T, end: Arc<KillSwitch>, slice: Arc<Slice>) -> Store<T> {
    let mut store = Store::new(runtime.engine(), host);
    store.epoch_deadline_callback(move |_| {
        Ok(match end.by() {
            Some(_) => UpdateDeadline::Interrupt,
            None if slice.used_until(runtime.ticker().ticks()) => {
                UpdateDeadline::YieldCustom(1, Box::pin(to_the_end_of_the_queue()))
            }
            None => UpdateDeadline::Continue(1),
        })
    });
    store.set_epoch_deadline(1);
    store
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

/// Runs a guest until it ends or is ended, when it may; tells the ticker while it computes.
struct GuestTask {
    running: Option<Pin<Box<dyn Future<Output = Exit> + Send>>>,
    end: Arc<KillSwitch>,
    meter: Meter,
    slice: Arc<Slice>,
    runtime: Arc<Runtime>,
}

impl GuestTask {
    fn ended(&mut self) -> Option<Exit> {
        let exit = match self.end.by()? {
            StopReason::Kill => Exit::Killed,
            StopReason::Request => Exit::Terminated,
        };
        // Unwinds the guest's stack and gives back all that it holds.
        self.running = None;
        Some(exit)
    }
}

impl Future for GuestTask {
    type Output = Exit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exit> {
        self.end.watch(cx);
        if let Some(exit) = self.ended() {
            return Poll::Ready(exit);
        }
        let watched = &mut *self;
        let (ticker, shared): (&Ticker, _) = (watched.runtime.ticker(), watched.runtime.metering());
        let Poll::Ready(measured) = watched.meter.poll_turn(shared, cx) else { return Poll::Pending };
        let Some(running) = watched.running.as_mut() else { return Poll::Ready(Exit::Killed) };
        let computing = ticker.computing();
        watched.slice.begin(ticker.ticks());
        // Epochs make guests yield; tokio's own budget would, to a guest that waits for more things
        // than it allows to be ready at once, make all of them look pending for ever.
        let polled = pin!(tokio::task::unconstrained(running.as_mut())).poll(cx);
        drop(computing);
        watched.meter.polled(shared, measured);
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
