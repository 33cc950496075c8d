//! Instances beside a container's main program, as probes, hooks and `exec` start them.

use std::sync::Arc;
use std::time::Duration;

use wasmpod::budget::{Account, AccountLimits};
use wasmpod::clock::Clock;
use wasmpod::files::Mounts;
use wasmpod::logs::Log;
use wasmpod::runtime::{Capture, ContainerContext, Exit, Runtime, Stdio};

use crate::support::guests::{compile, container_context, exit_of, unlimited_account, wait_for_first_line};

/// Returns a command line as owned words.
fn words(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|word| (*word).to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_sees_container_files_and_returns_output_and_code() {
    let directory = tempfile::tempdir().expect("a directory");
    let runtime = Runtime::new(None).expect("a runtime");
    let busybox = compile(&runtime, "wasm32-wasip2", "busybox").await;
    let context = ContainerContext {
        mounts: Arc::new(Mounts::new(Some(directory.path().join("root")), &[], Vec::new())),
        env: vec![("GREETING".into(), "hello".into())],
        ..container_context(&runtime, &unlimited_account())
    };
    let log = Log::new();
    let script = words(&["sh", "-c", "echo written > /it; echo up; sleep 1000"]);
    let _main = context.spawn(busybox.clone(), &script, Stdio::to_log(log.clone(), Clock::system()));
    wait_for_first_line(&log).await;
    for (argv, code, output) in [
        (vec!["cat", "/it"], 0, "written\n"),
        (vec!["sh", "-c", "echo $GREETING; echo oops >&2; exit 7"], 7, "hello\noops\n"),
        (vec!["sh", "-c", "cat; echo at its end"], 0, "at its end\n"),
        (vec!["sh", "-c", "yes | head -c 100"], 0, "y\ny\ny\ny\n"),
    ] {
        let captured = Arc::new(Capture::new(if output.starts_with('y') { 8 } else { 10 << 10 }));
        let mut exec = context.exec(busybox.clone(), &words(&argv), Stdio::Capture(captured.clone()));
        assert_eq!(exit_of(&mut exec).await, Exit::Code(code), "{argv:?}");
        assert_eq!(captured.text(), output, "{argv:?}");
        assert_eq!(captured.dropped(), if output.starts_with('y') { 92 } else { 0 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn terminating_an_exec_keeps_the_containers_listeners() {
    let runtime = Runtime::new(None).expect("a runtime");
    let account = Account::root(AccountLimits::NONE.with_container_defaults());
    let context = container_context(&runtime, &account);
    let log = Log::new();
    let listener = compile(&runtime, "wasm32-wasip2", "block_accept").await;
    let mut main = context.spawn(listener, &words(&["block_accept"]), Stdio::to_log(log.clone(), Clock::system()));
    wait_for_first_line(&log).await;
    let sleeper = compile(&runtime, "wasm32-wasip2", "block_sleep").await;
    let mut exec = context.exec(sleeper, &words(&["block_sleep"]), Stdio::to_log(Log::new(), Clock::system()));
    assert!(exec.wait_for_start().await);
    exec.handle().terminate("SIGTERM");
    assert_eq!(exit_of(&mut exec).await, Exit::Terminated);
    assert!(tokio::time::timeout(Duration::from_millis(20), main.wait_for_exit()).await.is_err());
    let connection = context.endpoint.connect(None, ([127, 0, 0, 1], 8080).into()).expect("it still listens");
    connection.await.expect("accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_of_the_main_program_ends_its_execs() {
    let runtime = Runtime::new(None).expect("a runtime");
    let context = container_context(&runtime, &unlimited_account());
    let sleeper = compile(&runtime, "wasm32-wasip2", "block_sleep").await;
    let mut main = context.spawn(sleeper.clone(), &words(&["block_sleep"]), Stdio::to_log(Log::new(), Clock::system()));
    let mut execs = Vec::new();
    for name in ["block_sleep", "spin"] {
        let program = compile(&runtime, "wasm32-wasip2", name).await;
        let mut exec = context.exec(program, &words(&[name]), Stdio::to_log(Log::new(), Clock::system()));
        assert!(exec.wait_for_start().await);
        execs.push(exec);
    }
    assert!(main.wait_for_start().await);
    main.handle().kill();
    assert_eq!(exit_of(&mut main).await, Exit::Killed);
    for exec in &mut execs {
        assert_eq!(exit_of(exec).await, Exit::Killed);
    }
    // As in a PID namespace whose first process has exited.
    let late = context
        .exec(sleeper, &words(&["block_sleep"]), Stdio::to_log(Log::new(), Clock::system()))
        .wait_for_exit()
        .await;
    assert_eq!(late, Exit::Killed);
}
