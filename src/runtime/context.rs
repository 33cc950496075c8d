//! The container context: everything that the instances of one container attempt share.
//!
//! [`ContainerContext::spawn`] starts the main program. Probes, hooks and exec sessions are further instances, started by
//! [`ContainerContext::exec`]: they share files, network, environment and budget with the main program and are killed when
//! it ends, as processes are killed with process 1 of their PID namespace.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::clocks;
use super::exit::{Exit, error_chain, exit_from_error};
use super::filesystem::p1::ModuleFiles;
use super::host::{Host, ModuleHost, preopen};
use super::http::DeniedHttp;
use super::instance::{Instance, InstanceHandle, KillSwitch, StopReason};
use super::instance_set::InstanceSet;
use super::memory::Memory;
use super::metering::{Meter, Slice, yield_to_back_of_queue};
use super::processes::{Process, ProcessUsage, ProcessView, VisibleProcesses};
use super::program::{Program, ProgramKind};
use super::stdio::Stdio;
use super::terminal::Terminal;
use super::termination_notice::TerminationNotice;
use super::{Runtime, ticker::Ticker};
use crate::budget::{Account, AccountResource};
use crate::clock::Clock;
use crate::files::Mounts;
use crate::network::Endpoint;

/// The shared environment of a container attempt's instances; see the module's documentation.
pub struct ContainerContext {
    /// Runtime whose guest threads run the instances.
    pub runtime: Arc<Runtime>,
    /// Container name, used in messages.
    pub name: String,
    /// Files that the instances see.
    pub mounts: Arc<Mounts>,
    /// The container's endpoint in its pod's network.
    pub endpoint: Arc<Endpoint>,
    /// Environment variables as name and value.
    pub env: Vec<(String, String)>,
    /// Initial working directory as reported by `wasi:cli/environment`.
    pub working_dir: String,
    /// Clock that the instances read.
    pub clock: Clock,
    /// Budget that the instances share.
    pub account: Arc<Account>,
    /// All instances of the node or command, to which these are added.
    pub all_instances: Arc<InstanceSet>,
    /// Instances of this context: the main program and the exec'd ones.
    pub instances: Arc<InstanceSet>,
    /// Programs of the pod that the instances see.
    pub processes: ProcessView,
}

/// Role of an instance in its context.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InstanceRole {
    Program,
    Exec,
}

impl ContainerContext {
    /// Starts the main program with `argv` on the guest threads. When it ends, the exec'd instances are killed.
    pub fn spawn(&self, program: Arc<Program>, argv: &[String], stdio: Stdio) -> Instance {
        self.start(InstanceRole::Program, program, argv, stdio)
    }

    /// Starts an instance beside the main program. Terminating it does not drain the container's listeners; it is killed
    /// when the main program ends.
    pub fn exec(&self, program: Arc<Program>, argv: &[String], stdio: Stdio) -> Instance {
        self.start(InstanceRole::Exec, program, argv, stdio)
    }

    /// Kills all instances, including any started later.
    pub fn kill_all(&self) {
        self.instances.kill(&self.runtime);
    }

    fn start(&self, role: InstanceRole, program: Arc<Program>, argv: &[String], stdio: Stdio) -> Instance {
        let kill_switch = Arc::new(KillSwitch::default());
        let notice = Arc::new(TerminationNotice::default());
        let handle = InstanceHandle {
            kill_switch: kill_switch.clone(),
            notice: notice.clone(),
            endpoint: (role == InstanceRole::Program).then(|| self.endpoint.clone()),
            account: self.account.clone(),
            clock: self.clock,
            runtime: self.runtime.clone(),
            handles_termination: program.handles_termination,
        };
        let (started_sender, started) = oneshot::channel();
        let mut wasi = WasiCtx::builder();
        wasi.args(argv).envs(&self.env).initial_cwd(&self.working_dir).allow_udp(false);
        let terminal = stdio.connect(&mut wasi);
        if let Some(terminal) = &terminal {
            terminal.set_foreground(&kill_switch);
            if !self.env.iter().any(|(name, _)| name == "TERM") {
                wasi.env("TERM", "xterm");
            }
        }
        clocks::install(&mut wasi, self.clock);
        let slice = Arc::new(Slice::default());
        let usage = Arc::new(ProcessUsage::default());
        let process = self.processes.table.add(Process {
            container: self.name.clone(),
            attempt: self.processes.attempt,
            is_main: role == InstanceRole::Program,
            command: argv.to_vec(),
            started: self.clock.mono(),
            usage: usage.clone(),
            handle: handle.clone(),
        });
        let execution = Execution {
            runtime: self.runtime.clone(),
            program,
            wasi,
            mounts: self.mounts.clone(),
            clock: self.clock,
            account: self.account.clone(),
            endpoint: self.endpoint.clone(),
            notice,
            terminal,
            kill_switch: kill_switch.clone(),
            slice: slice.clone(),
            processes: Arc::new(VisibleProcesses { view: self.processes.clone(), container: self.name.clone() }),
            usage: usage.clone(),
            started: Some(started_sender),
        };
        let (exit_sender, exit) = oneshot::channel();
        let registrations = [self.all_instances.register(&kill_switch), self.instances.register(&kill_switch)];
        let meter = Meter::new(self.account.clone(), slice, usage);
        let execution = Some(Box::pin(execution.run()) as _);
        let task = GuestTask { execution, kill_switch, meter, runtime: self.runtime.clone() };
        let name = self.name.clone();
        let (instances, runtime) = (self.instances.clone(), self.runtime.clone());
        self.runtime.spawn(async move {
            // A panic in host code ends this instance and no other.
            let exit = match futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(task)).await {
                Ok(exit) => exit,
                Err(_) => Exit::Trap { code: 134, message: "wasmpod itself failed while running this guest".into() },
            };
            if role == InstanceRole::Program {
                instances.kill(&runtime);
            }
            if let Some(message) = exit.message() {
                stdio.report(&format!("{name}: {message}"));
            }
            stdio.close();
            drop((registrations, process));
            // The receiver may have been dropped.
            let _ = exit_sender.send(exit);
        });
        Instance { handle, started, exit }
    }
}

/// One run of a program. One struct, because its resources move together into the run's task, where
/// [`Execution::run`] consumes them.
struct Execution {
    runtime: Arc<Runtime>,
    program: Arc<Program>,
    wasi: WasiCtxBuilder,
    mounts: Arc<Mounts>,
    clock: Clock,
    account: Arc<Account>,
    endpoint: Arc<Endpoint>,
    notice: Arc<TerminationNotice>,
    terminal: Option<Arc<Terminal>>,
    kill_switch: Arc<KillSwitch>,
    slice: Arc<Slice>,
    processes: Arc<VisibleProcesses>,
    usage: Arc<ProcessUsage>,
    started: Option<oneshot::Sender<()>>,
}

impl Execution {
    fn notify_started(started: Option<oneshot::Sender<()>>) {
        if let Some(started) = started {
            // The receiver may have been dropped.
            let _ = started.send(());
        }
    }

    async fn run(mut self) -> Exit {
        let program = self.program.clone();
        let started = self.started.take();
        // Held until the instance has ended.
        let _instance = match self.account.charge(AccountResource::Instances, 1) {
            Ok(instance) => instance,
            Err(refused) => {
                let message = format!("too many programs run in the container: {refused}");
                return Exit::StartError { message };
            }
        };
        match &program.kind {
            ProgramKind::Module(pre) => {
                let read_only = match preopen(&mut self.wasi, &self.mounts) {
                    Ok(read_only) => read_only,
                    Err(error) => return Exit::StartError { message: error_chain(&error) },
                };
                let memory = Memory::new(self.account.charge(AccountResource::Memory, 0).ok(), self.usage.clone());
                let (notice, clock) = (self.notice, self.clock);
                let files = ModuleFiles::new(self.mounts, &read_only);
                let host = ModuleHost { wasi: self.wasi.build_p1(), memory, notice, clock, stdin: None, files };
                let mut store = new_store(self.runtime, host, self.kill_switch, self.slice);
                store.limiter(|host| &mut host.memory);
                let result = async {
                    let instance = pre.instantiate_async(&mut store).await?;
                    Execution::notify_started(started);
                    instance.get_typed_func::<(), ()>(&mut store, "_start")?.call_async(&mut store, ()).await
                };
                exit_from_result(result.await.map(Ok))
            }
            ProgramKind::Command2(pre) => {
                let mut store = self.into_store();
                let result = async {
                    let command = pre.instantiate_async(&mut store).await?;
                    Execution::notify_started(started);
                    command.wasi_cli_run().call_run(&mut store).await
                };
                exit_from_result(result.await)
            }
            ProgramKind::Command3(pre) => {
                let mut store = self.into_store();
                let result = async {
                    let instance = pre.instantiate_async(&mut store).await?;
                    let command = wasmtime_wasi::p3::bindings::Command::new(&mut store, &instance)?;
                    Execution::notify_started(started);
                    store.run_concurrent(async move |store| command.wasi_cli_run().call_run(store).await).await?
                };
                exit_from_result(result.await)
            }
        }
    }

    fn into_store(mut self) -> Store<Host> {
        let host = Host {
            wasi: self.wasi.build(),
            table: ResourceTable::new(),
            memory: Memory::new(self.account.charge(AccountResource::Memory, 0).ok(), self.usage.clone()),
            notice: self.notice,
            terminal: self.terminal,
            processes: self.processes,
            clock: self.clock,
            endpoint: self.endpoint,
            http: DeniedHttp::default(),
            mounts: self.mounts,
            has_opened_files: false,
            account: self.account,
        };
        let mut store = new_store(self.runtime, host, self.kill_switch, self.slice);
        store.limiter(|host| &mut host.memory);
        store
    }
}

/// Creates a store whose guest yields at every tick and traps there once its kill switch is triggered.
fn new_store<T: 'static>(runtime: Arc<Runtime>, host: T, kill_switch: Arc<KillSwitch>, slice: Arc<Slice>) -> Store<T> {
    let mut store = Store::new(runtime.engine(), host);
    store.epoch_deadline_callback(move |_| {
        Ok(match kill_switch.reason() {
            Some(_) => UpdateDeadline::Interrupt,
            None if slice.expire_if_past(runtime.ticker().ticks()) => {
                UpdateDeadline::YieldCustom(1, Box::pin(yield_to_back_of_queue()))
            }
            None => UpdateDeadline::Continue(1),
        })
    });
    store.set_epoch_deadline(1);
    store
}

fn exit_from_result(result: wasmtime::Result<Result<(), ()>>) -> Exit {
    match result {
        Ok(Ok(())) => Exit::Code(0),
        Ok(Err(())) => Exit::Code(1),
        Err(error) => match error.downcast_ref::<super::host::PreopenError>() {
            Some(files) => Exit::StartError { message: error_chain(files) },
            None => exit_from_error(&error),
        },
    }
}

/// Task of one guest: polls it when its quota and turn allow, until it exits or is killed, and marks it as computing
/// meanwhile.
struct GuestTask {
    /// `None` once the guest was killed.
    execution: Option<Pin<Box<dyn Future<Output = Exit> + Send>>>,
    kill_switch: Arc<KillSwitch>,
    meter: Meter,
    runtime: Arc<Runtime>,
}

impl GuestTask {
    /// Drops the guest if its kill switch was triggered.
    fn stop_if_killed(&mut self) -> Option<Exit> {
        let exit = match self.kill_switch.reason()? {
            StopReason::Kill => Exit::Killed,
            StopReason::Request => Exit::Terminated,
            StopReason::Interrupt => Exit::Interrupted,
        };
        // Unwinds the guest's stack and releases its resources.
        self.execution = None;
        Some(exit)
    }
}

impl Future for GuestTask {
    type Output = Exit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exit> {
        self.kill_switch.register_waker(cx);
        if let Some(exit) = self.stop_if_killed() {
            return Poll::Ready(exit);
        }
        let task = &mut *self;
        let (ticker, metering): (&Ticker, _) = (task.runtime.ticker(), task.runtime.metering());
        let Poll::Ready(poll_start) = task.meter.poll_ready(metering, cx) else { return Poll::Pending };
        let Some(execution) = task.execution.as_mut() else { return Poll::Ready(Exit::Killed) };
        let computing = ticker.computing();
        task.meter.start_slice(ticker.ticks());
        // Epochs already make guests yield. Tokio's cooperative budget must not apply: a guest that waits for more
        // resources than the budget allows would see all of them pending forever.
        let polled = pin!(tokio::task::unconstrained(execution.as_mut())).poll(cx);
        drop(computing);
        task.meter.finish_poll(metering, poll_start, cx);
        match polled {
            // A kill during computation surfaces as a trap; report it as a kill.
            Poll::Ready(exit) => Poll::Ready(match &exit {
                Exit::Trap { .. } => self.stop_if_killed().unwrap_or(exit),
                _ => exit,
            }),
            Poll::Pending => self.stop_if_killed().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

impl Drop for GuestTask {
    fn drop(&mut self) {
        self.meter.leave(self.runtime.metering());
    }
}
