//! `wasmpod serve`: runs a node with its control plane, and serves the Kubernetes API.

mod directories;
mod objects;
mod service_manager;
mod shutdown;
mod watchdog;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;

use super::api_server::ApiServer;
use super::args::ServeArgs;
use super::exit::{Outcome, bad_input};
use super::limits;
use super::manifests::{self, LoadOptions};
use super::recovery;
use super::report::error_chain;
use super::signals::ServerSignals;
use super::state_directory::StateDirectory;
use crate::apiserver::auth::Authorizer;
use crate::apiserver::credentials::{Credentials, CredentialsError, server_url};
use crate::apiserver::health::{HealthCheck, Unhealthy};
use crate::apiserver::server::Listener;
use crate::apiserver::{Api, router};
use crate::clock::Clock;
use crate::control::{Body, ControlPlane};
use crate::controllers::static_pods::{InvalidManifest, StaticPods};
use crate::embedded::{Node, NodeBuilder};
use crate::images::Images;
use crate::logs::Spool;
use crate::model::formats;
use crate::node::EvictionThresholds;
use crate::registry::kinds;
use crate::runtime::{CacheDirectories, Runtime};
use crate::store::ObjectStore;

use directories::Directories;
use objects::ManifestFiles;
use service_manager::ServiceNotifier;
use shutdown::Shutdown;

/// Serves until a signal arrives.
pub fn main(args: ServeArgs) -> anyhow::Result<Outcome> {
    limits::check_guest_limits()?;
    let runtime = super::node_threads()?;
    let outcome = runtime.block_on(serve(args));
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn serve(args: ServeArgs) -> anyhow::Result<Outcome> {
    let images = Arc::new(Images::new(args.images.iter().cloned().collect(), args.builtin_images));
    let manifests = ManifestFiles::new(&args, images.clone());
    let loaded = manifests.load()?;
    if let Some(path) = args.pod_manifest_path.as_ref().filter(|path| !path.is_dir()) {
        return Err(bad_input(format!("--pod-manifest-path {}: directory does not exist", path.display())));
    }
    let name = node_name(&args)?;
    let directories = Directories::new(&args.storage, |name| std::env::var_os(name));
    let state = StateDirectory::open(directories.state.as_deref())?;
    let (listener, address) = listen(args.api.listen).await?;
    let (addresses, dns_names) = certificate_names(address, &args.api.names);
    let store = recovery::open(state.path(), args.storage.recover, &args.limits.retained_memory())?;
    let credentials = Credentials::load_or_create(state.path(), &addresses, &dns_names).map_err(unusable_state)?;
    let credentials = Arc::new(credentials);
    let kubeconfig = credentials.write_kubeconfig(&server_url(address)).map_err(unusable_state)?;
    let mut signals = ServerSignals::listen()?;
    let notifier = Arc::new(ServiceNotifier::from_environment(|name| std::env::var_os(name)));

    let clock = Clock::system();
    let node = Node::builder().name(&name).images(images).clock(clock).store(store.clone());
    let node = start_node(&args, node, &state, &directories, credentials.clone())?;
    let control = node.control().clone();
    objects::create_system_objects(&*control).await?;
    objects::complete_deletions(&*control).await?;
    objects::store(&*control, loaded).await?;
    let mut tasks = JoinSet::new();
    let rescan = start_static_pods(&args, &control, clock, &name, &mut tasks);

    let is_stopping = Arc::new(AtomicBool::new(false));
    let api = Api {
        control: control.clone(),
        nodes: HashMap::from([(name.clone(), node.handle().clone())]),
        clock,
        live: vec![HealthCheck::ping()],
        ready: vec![HealthCheck::ping(), storage_check(store.clone()), shutdown_check(is_stopping.clone())],
        store: Some(store.clone()),
    };
    let authorizer = Authorizer { credentials: Some(credentials.clone()), names: dns_names };
    let app = router(Arc::new(api), Arc::new(authorizer));
    let mut server = ApiServer::start(Listener::Tcp(listener, credentials.tls.clone()), app.clone());
    let private_server = ApiServer::start_private("serve", app.clone());
    print_address(&name, address, &kubeconfig);
    let mut watchdog = JoinSet::new();
    if let Some(timeout) = notifier.watchdog_timeout() {
        watchdog.spawn(watchdog::feed(notifier.clone(), timeout, app, node.handle().clone()));
    }
    let reload = Arc::new(Notify::new());
    tasks.spawn(reload_on_demand(manifests, control.clone(), rescan, notifier.clone(), reload.clone()));
    let shutdown = wait_for_shutdown(&args, &mut signals, &mut server, &reload).await?;
    is_stopping.store(true, Ordering::Relaxed);
    notifier.stopping();
    shutdown.announce();
    tasks.shutdown().await;
    tokio::select! {
        () = shutdown.stop_pods(node.handle()) => {}
        () = signals.next_stop() => stderrln!("killing the remaining pods"),
    }
    let servers = [Some(server), private_server];
    servers.iter().flatten().for_each(ApiServer::stop);
    node.stop().await;
    for server in servers.into_iter().flatten() {
        server.stopped(shutdown.drain).await;
    }
    watchdog.shutdown().await;
    tokio::task::spawn_blocking(move || store.close()).await?;
    drop(state);
    Ok(Outcome::Success)
}

/// Starts the static pods, if there is a directory for them. Requests to scan it fail if there is none.
fn start_static_pods(
    args: &ServeArgs,
    control: &Arc<dyn ControlPlane>,
    clock: Clock,
    node: &str,
    tasks: &mut JoinSet<()>,
) -> mpsc::Sender<oneshot::Sender<()>> {
    let (rescan, rescans) = mpsc::channel(1);
    if let Some(directory) = args.pod_manifest_path.clone() {
        let (control, read) = (control.clone(), Arc::new(read_static_pods));
        tasks.spawn(StaticPods { control, clock, directory, node: node.into(), read, rescans }.run());
    }
    rescan
}

/// Waits for a signal that ends the node. Requests a reload for the others.
async fn wait_for_shutdown(
    args: &ServeArgs,
    signals: &mut ServerSignals,
    server: &mut ApiServer,
    reload: &Notify,
) -> anyhow::Result<Shutdown> {
    loop {
        tokio::select! {
            signal = signals.next() => match Shutdown::from_signal(signal, args) {
                Some(shutdown) => return Ok(shutdown),
                None => reload.notify_one(),
            },
            ended = &mut server.task => {
                // It stops only when asked to; anything else is a panic.
                ended.context("the API server failed")?;
                anyhow::bail!("the API server ended");
            }
        }
    }
}

/// Reports that the node is ready once the static pods are read. From then on, reads all manifests again whenever
/// `reload` is notified.
async fn reload_on_demand(
    manifests: ManifestFiles,
    control: Arc<dyn ControlPlane>,
    rescan: mpsc::Sender<oneshot::Sender<()>>,
    notifier: Arc<ServiceNotifier>,
    reload: Arc<Notify>,
) {
    let rescan = async || {
        let (done, is_done) = oneshot::channel();
        if rescan.send(done).await.is_ok() {
            let _ = is_done.await;
        }
    };
    rescan().await;
    loop {
        notifier.ready();
        reload.notified().await;
        notifier.reloading();
        match manifests.reload(&*control).await {
            Ok(()) => stderrln!("read the manifests again"),
            Err(error) => stderrln!("error: cannot read the manifests again: {}", error_chain(&error)),
        }
        rescan().await;
    }
}

/// Returns the error of a state directory without usable credentials.
fn unusable_state(error: CredentialsError) -> anyhow::Error {
    let is_unusable = matches!(error, CredentialsError::File { .. });
    let message = error_chain(&error.into());
    bad_input(if is_unusable { message + "; use --state-dir to choose another directory" } else { message })
}

fn start_node(
    args: &ServeArgs,
    builder: NodeBuilder,
    state: &StateDirectory,
    directories: &Directories,
    credentials: Arc<Credentials>,
) -> anyhow::Result<Node> {
    let logs = match &directories.logs {
        Some(directory) => {
            let failed = |error| bad_input(format!("--log-dir {}: {error}", directory.display()));
            Spool::claim(directory).map_err(failed)?;
            directory.clone()
        }
        None => state.path().join("logs"),
    };
    let mut builder = builder.data_dir(state.path()).log_dir(logs);
    builder = builder.terminated_pod_gc_threshold(args.storage.terminated_pod_gc_threshold);
    builder = builder.publish_address(args.publish_address).root_ca(credentials.ca());
    builder = builder.token_check(Arc::new(move |token| credentials.accepts(token)));
    if let Some(cache) = directories.cache.clone() {
        let directories = CacheDirectories { cache, state: state.path().into() };
        builder = builder.engine(Runtime::new(Some(directories))?);
    }
    if let Some(period) = args.limits.max_container_restart_period {
        builder = builder.max_container_restart_period(period);
    }
    builder = builder.eviction(args.eviction_hard.unwrap_or(EvictionThresholds::NODE));
    Ok(builder.capacity(args.limits.capacity.unwrap_or_default()).start()?)
}

async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let hint = "use --listen to choose another address, or port 0 for a free port";
    let failed = |error| bad_input(format!("cannot listen on {address}: {error}; {hint}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Returns the IP addresses and the host names for the server certificate.
fn certificate_names(address: SocketAddr, additional: &[String]) -> (Vec<IpAddr>, Vec<String>) {
    let mut addresses = vec![address.ip()];
    let mut names = Vec::new();
    for name in additional {
        match name.parse() {
            Ok(ip) => addresses.push(ip),
            Err(_) => names.push(name.clone()),
        }
    }
    (addresses, names)
}

/// Returns `--node-name`, or as kubelet does the host name in lower case.
fn node_name(args: &ServeArgs) -> anyhow::Result<String> {
    if let Some(name) = &args.node_name {
        return match formats::dns_subdomain(name).into_iter().next() {
            Some(problem) => Err(bad_input(format!("--node-name {name:?}: {problem}"))),
            None => Ok(name.clone()),
        };
    }
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_lowercase();
    let is_valid = formats::dns_subdomain(&host_name).is_empty();
    Ok(if is_valid { host_name } else { "wasmpod".into() })
}

/// Returns the readiness check that fails while the node shuts down.
fn shutdown_check(is_stopping: Arc<AtomicBool>) -> HealthCheck {
    HealthCheck::new("shutdown", move || match is_stopping.load(Ordering::Relaxed) {
        true => Err("the node is shutting down".into()),
        false => Ok(()),
    })
}

/// Returns the readiness check that fails while changes of objects cannot be stored.
fn storage_check(store: Arc<ObjectStore>) -> HealthCheck {
    HealthCheck::new("storage", move || match store.failure() {
        Some(failure) => Err(Unhealthy(failure.to_string())),
        None => Ok(()),
    })
}

fn print_address(name: &str, address: SocketAddr, kubeconfig: &Path) {
    stderrln!("node {name} serves the Kubernetes API at {}", server_url(address));
    stderrln!("  export KUBECONFIG={}", kubeconfig.display());
}

/// Returns the pods of a static pod manifest, checked like those of the command line.
fn read_static_pods(path: &Path) -> Result<Vec<Pod>, InvalidManifest> {
    let loaded = manifests::load_files(&[PathBuf::from(path)], LoadOptions::default())
        .map_err(|error| InvalidManifest(error.to_string()))?;
    let is_needed = |body: &Body| kinds::of(body.resource()).is_some_and(|kind| kind.info().is_acted_on);
    if loaded.objects.iter().any(is_needed) {
        let message = "static manifests can only contain Pods; create ConfigMaps and Secrets through the API";
        return Err(InvalidManifest(message.into()));
    }
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(loaded.pods)
}
