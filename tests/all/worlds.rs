//! Guests of `guests/test-programs` in Worlds of the test's own process.

use std::sync::Arc;

use wasmpod::budget::{Account, AccountLimits};
use wasmpod::clock::Clock;
use wasmpod::files::Mounts;
use wasmpod::images::Executable;
use wasmpod::logs::{Entry, Log};
use wasmpod::network::{Endpoint, PodNetwork};
use wasmpod::runtime::{ContainerContext, Instance, InstanceSet, Program, Runtime, Stdio};

use crate::host::guest;

/// A World charged to `account`, in a pod network of its own.
pub fn world(runtime: &Arc<Runtime>, account: &Arc<Account>) -> ContainerContext {
    ContainerContext {
        runtime: runtime.clone(),
        name: "c".into(),
        mounts: Arc::new(Mounts::new(None, &[], Vec::new())),
        endpoint: Endpoint::new(PodNetwork::new([10, 0, 0, 1].into())),
        env: Vec::new(),
        working_dir: "/".into(),
        clock: Clock::system(),
        account: account.clone(),
        guests: InstanceSet::new(),
        instances: InstanceSet::new(),
    }
}

/// A guest, ready to run.
pub async fn program(runtime: &Arc<Runtime>, target: &str, name: &str) -> Arc<Program> {
    let bytes = std::fs::read(guest(target, name)).expect("the guest");
    let program = Executable::new(bytes.into());
    runtime.program(program.digest, &program.bytes).await.expect("it compiles")
}

/// A container's account without limits of its own.
pub fn unlimited() -> Arc<Account> {
    Account::root(AccountLimits::NONE.of_container())
}

/// Starts a guest, in a World of its own that is charged to `account`.
pub async fn start(
    runtime: &Arc<Runtime>,
    account: &Arc<Account>,
    (target, name): (&str, &str),
    log: &Arc<Log>,
) -> Instance {
    let program = program(runtime, target, name).await;
    let mut instance = world(runtime, account).spawn(program, &[name.to_string()], Stdio::Log(log.clone()));
    assert!(instance.begun().await, "{name} begins");
    instance
}

/// Waits until the guest has written a line: it is where it wants to be.
pub async fn first_line(log: &Arc<Log>) {
    let entries = log.reader().next().await.expect("it says something");
    assert!(matches!(entries.first(), Some(Entry::Line(_))));
}
