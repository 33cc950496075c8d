//! Runs the programs of `guests/test-programs` in containers of the test's own process.

use std::sync::Arc;

use wasmpod::budget::{Account, AccountLimits};
use wasmpod::clock::Clock;
use wasmpod::files::Mounts;
use wasmpod::images::Executable;
use wasmpod::logs::{Log, LogEntry};
use wasmpod::network::{Endpoint, PodNetwork};
use wasmpod::runtime::{ContainerContext, Exit, Instance, InstanceSet, ProcessView, Program, Runtime, Stdio};

use super::{guest, in_time};

/// Returns a container's context that is charged to `account`, in a pod network of its own.
pub fn container_context(runtime: &Arc<Runtime>, account: &Arc<Account>) -> ContainerContext {
    ContainerContext {
        runtime: runtime.clone(),
        name: "c".into(),
        mounts: Arc::new(Mounts::new(None, &[], Vec::new())),
        endpoint: Endpoint::new(PodNetwork::new([10, 0, 0, 1].into())),
        env: Vec::new(),
        working_dir: "/".into(),
        clock: Clock::system(),
        account: account.clone(),
        all_instances: InstanceSet::new(),
        instances: InstanceSet::new(),
        processes: ProcessView::default(),
    }
}

/// Compiles a guest.
pub async fn compile(runtime: &Arc<Runtime>, platform: &str, name: &str) -> Arc<Program> {
    let bytes = std::fs::read(guest(platform, name)).expect("the guest");
    let executable = Executable::new(bytes.into());
    runtime.program(executable.digest, &executable.bytes).await.expect("it compiles")
}

/// Returns a container's account without limits of its own.
pub fn unlimited_account() -> Arc<Account> {
    Account::root(AccountLimits::NONE.with_container_defaults())
}

/// Starts a guest in a container of its own that is charged to `account`.
pub async fn start_guest(
    runtime: &Arc<Runtime>,
    account: &Arc<Account>,
    (platform, name): (&str, &str),
    log: &Arc<Log>,
) -> Instance {
    let program = compile(runtime, platform, name).await;
    let context = container_context(runtime, account);
    let mut instance = context.spawn(program, &[name.to_string()], Stdio::to_log(log.clone(), Clock::system()));
    assert!(instance.wait_for_start().await, "{name} does not start");
    instance
}

/// Waits until the guest has ended.
pub async fn exit_of(guest: &mut Instance) -> Exit {
    in_time("the guest ends", guest.wait_for_exit()).await
}

/// Waits until the guest has written its first line.
pub async fn wait_for_first_line(log: &Arc<Log>) {
    let entries = in_time("the guest writes a line", log.reader().next()).await.expect("a line");
    assert!(matches!(entries.first(), Some(LogEntry::Line(_))));
}
