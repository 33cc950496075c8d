//! `wasmpod serve`: runs a node with its control plane, and serves the Kubernetes API.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::api_server::ApiServer;
use super::args::ServeArgs;
use super::exit::{Outcome, bad_input};
use super::limits;
use super::manifests::{self, LoadOptions, LoadedManifests, WorkloadHandling};
use super::signals::Signals;
use super::state_directory::StateDirectory;
use crate::apiserver::auth::Authorizer;
use crate::apiserver::credentials::{Credentials, server_url};
use crate::apiserver::health::HealthCheck;
use crate::apiserver::server::Listener;
use crate::apiserver::{Api, router};
use crate::clock::Clock;
use crate::control::{Body, ControlPlane, Object, Resource, Scope, Status};
use crate::controllers::static_pods::{InvalidManifest, StaticPods, ensure_namespace};
use crate::embedded::Node;
use crate::images::Images;
use crate::logs::Spool;
use crate::model::{formats, pods};
use crate::node::Handle;
use crate::registry::kinds;
use crate::registry::kinds::priority_class::SYSTEM_CLASSES;
use crate::runtime::{CacheDirectories, Runtime};

/// The part of the shutdown grace period that is reserved for killing pods: a pod that exceeds its own grace period
/// is killed two seconds later (K66).
const KILL_RESERVE: Duration = Duration::from_secs(3);

/// Serves until a signal arrives.
pub fn main(args: ServeArgs) -> anyhow::Result<Outcome> {
    limits::check_address_space()?;
    let runtime = super::node_threads()?;
    let outcome = runtime.block_on(serve(args));
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

/// The namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

async fn serve(args: ServeArgs) -> anyhow::Result<Outcome> {
    let images = Arc::new(Images::new(args.images.iter().cloned().collect(), args.builtin_images));
    let loaded = load_initial_manifests(&args, &images)?;
    loaded.warnings.iter().for_each(|warning| stderrln!("warning: {warning}"));
    if let Some(path) = args.pod_manifest_path.as_ref().filter(|path| !path.is_dir()) {
        return Err(bad_input(format!("--pod-manifest-path {}: directory does not exist", path.display())));
    }
    let name = node_name(&args)?;
    let state = StateDirectory::open(args.storage.state_dir.as_deref())?;
    let (listener, address) = listen(args.api.listen).await?;
    let (addresses, dns_names) = certificate_names(address, &args.api.names);
    let credentials = Arc::new(Credentials::load_or_create(state.path(), &addresses, &dns_names)?);
    let kubeconfig = credentials.write_kubeconfig(&server_url(address))?;
    let mut signals = Signals::listen()?;

    let clock = Clock::system();
    let node = start_node(&args, &name, images, clock, &state, credentials.clone())?;
    let control = node.control().clone();
    for namespace in NAMESPACES {
        ensure_namespace(&*control, namespace).await?;
    }
    for class in SYSTEM_CLASSES {
        control.create(Body::from(class.object())).await?;
    }
    create_objects(&*control, loaded.objects, loaded.pods).await?;
    let mut tasks = JoinSet::new();
    if let Some(directory) = args.pod_manifest_path {
        let read = Arc::new(read_static_pods);
        let pods = StaticPods { control: control.clone(), clock, directory, node: name.clone(), read };
        tasks.spawn(pods.run());
    }

    let is_stopping = Arc::new(AtomicBool::new(false));
    let api = Api {
        control: control.clone(),
        nodes: HashMap::from([(name.clone(), node.handle().clone())]),
        clock,
        live: vec![HealthCheck::ping()],
        ready: vec![HealthCheck::ping(), shutdown_check(is_stopping.clone())],
    };
    let authorizer = Authorizer { credentials: Some(credentials.clone()), names: dns_names };
    let app = router(Arc::new(api), Arc::new(authorizer));
    let mut server = ApiServer::start(Listener::Tcp(listener, credentials.tls.clone()), app.clone());
    let private_server = ApiServer::start_private("serve", app);
    print_address(&name, address, &kubeconfig);
    tokio::select! {
        _ = signals.next_for_server() => {}
        // It stops only when asked to; anything else is a panic.
        ended = &mut server.task => { ended.context("the API server failed")?; }
    }
    is_stopping.store(true, Ordering::Relaxed);
    stderrln!("stopping the pods (for up to {:?}); send a second signal to kill them", args.shutdown_grace);
    tasks.shutdown().await;
    tokio::select! {
        () = stop_pods(&*control, node.handle(), &name, args.shutdown_grace) => {}
        _ = signals.next_for_server() => stderrln!("killing the remaining pods"),
    }
    let servers = [Some(server), private_server];
    servers.iter().flatten().for_each(ApiServer::stop);
    node.stop().await;
    for server in servers.into_iter().flatten() {
        server.stopped().await;
    }
    drop(state);
    Ok(Outcome::Success)
}

fn load_initial_manifests(args: &ServeArgs, images: &Images) -> anyhow::Result<LoadedManifests> {
    match args.files.is_empty() {
        true => Ok(LoadedManifests::default()),
        false => {
            let options = LoadOptions {
                images: Some(images),
                is_strict: args.strict,
                workloads: WorkloadHandling::Store,
                ..LoadOptions::default()
            };
            manifests::load_files(&args.files, options)
        }
    }
}

fn start_node(
    args: &ServeArgs,
    name: &str,
    images: Arc<Images>,
    clock: Clock,
    state: &StateDirectory,
    credentials: Arc<Credentials>,
) -> anyhow::Result<Node> {
    let logs = match &args.storage.log_dir {
        Some(directory) => {
            let failed = |error| bad_input(format!("--log-dir {}: {error}", directory.display()));
            Spool::claim(directory).map_err(failed)?;
            directory.clone()
        }
        None => state.path().join("logs"),
    };
    let mut builder = Node::builder().name(name).images(images).clock(clock).data_dir(state.path()).log_dir(logs);
    builder = builder.terminated_pod_gc_threshold(args.storage.terminated_pod_gc_threshold);
    builder = builder.publish_address(args.publish_address).root_ca(credentials.ca());
    builder = builder.token_check(Arc::new(move |token| credentials.accepts(token)));
    if args.storage.state_dir.is_some() {
        // With --state-dir, compiled programs are stored there as well: the user's cache may not be writable.
        let directories = CacheDirectories { cache: state.path().join("cache"), state: state.path().into() };
        builder = builder.engine(Runtime::new(Some(directories))?);
    }
    if let Some(period) = args.limits.max_container_restart_period {
        builder = builder.max_container_restart_period(period);
    }
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

fn print_address(name: &str, address: SocketAddr, kubeconfig: &Path) {
    stderrln!("node {name} serves the Kubernetes API at {}", server_url(address));
    stderrln!("  export KUBECONFIG={}", kubeconfig.display());
}

/// Creates the objects and the namespaces that they need.
async fn create_objects(control: &dyn ControlPlane, objects: Vec<Body>, pods: Vec<Pod>) -> anyhow::Result<()> {
    for namespace in objects.iter().filter_map(|config| config.metadata().namespace.as_deref()) {
        ensure_namespace(control, namespace).await?;
    }
    manifests::store_objects(control, objects).await.map_err(|status| bad_input(status.to_string()))?;
    for pod in pods {
        if let Some(namespace) = pod.metadata.namespace.as_deref().filter(|ns| !ns.is_empty()) {
            ensure_namespace(control, namespace).await?;
        }
        control.create(Body::from(pod)).await.map_err(|status| bad_input(status.to_string()))?;
    }
    Ok(())
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

/// Stops all pods of node `name`, and waits until they have terminated, at most for `grace`.
async fn stop_pods(control: &dyn ControlPlane, handle: &Handle, name: &str, grace: Duration) {
    let stop = async {
        let scope = Scope::all(Resource::PODS);
        let mut watch = control.watch(&scope, control.revision().await?).await?;
        handle.shut_down(grace.saturating_sub(KILL_RESERVE)).await;
        let is_active = |object: &Arc<Object>| {
            let is_own = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref() == Some(name));
            object.decode::<Pod>().is_ok_and(|pod| is_own(&pod) && !pods::is_terminal(&pod))
        };
        while control.list(&scope).await?.items.iter().any(is_active) {
            if watch.next().await.is_none() {
                break;
            }
        }
        Ok::<_, Status>(())
    };
    match tokio::time::timeout(grace, stop).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cannot stop the pods"),
        Err(_elapsed) => stderrln!("--shutdown-grace expired; killing the remaining pods"),
    }
}
