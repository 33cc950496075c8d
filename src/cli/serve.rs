//! `wasmpod serve`: a node that stays, and the Kubernetes API for it.

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
use tokio_util::sync::CancellationToken;

use super::args::ServeArgs;
use super::exit::{Outcome, bad_input};
use super::input::{self, Input};
use super::limits;
use super::signals::Signals;
use super::state::State;
use crate::apiserver::auth::Authorizer;
use crate::apiserver::credentials::{Credentials, server_url};
use crate::apiserver::health::Check;
use crate::apiserver::{Api, router, server};
use crate::clock::Clock;
use crate::control::{Body, ControlPlane, Object, Resource, Scope, Status};
use crate::controllers::static_pods::{StaticPods, ensure_namespace};
use crate::embedded::Node;
use crate::images::Images;
use crate::logs::Spool;
use crate::model::pods;
use crate::node::Handle;
use crate::runtime::{CacheDirectories, Runtime};

/// Serves until a signal ends it.
pub fn main(args: ServeArgs) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("wasmpod").build();
    let runtime = runtime.context("cannot start threads")?;
    let outcome = runtime.block_on(serve(args));
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn serve(args: ServeArgs) -> anyhow::Result<Outcome> {
    limits::raise_file_limit();
    let images = Arc::new(Images::new(args.images.iter().cloned().collect(), args.builtin_images));
    let Input { pods, configs, warnings } = first_pods(&args, &images)?;
    warnings.iter().for_each(|warning| tell!("warning: {warning}"));
    if let Some(folder) = args.pod_manifest_path.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(bad_input(format!("--pod-manifest-path {}: there is no such folder", folder.display())));
    }
    let name = args.node_name.clone().unwrap_or_else(machine_name);
    if let Some(wrong) = crate::model::formats::dns_subdomain(&name).into_iter().next() {
        return Err(bad_input(format!("--node-name {name:?}: {wrong}")));
    }
    let state = State::open(args.state_dir.as_deref())?;
    let (listener, address) = listen(args.listen).await?;
    let (addresses, names) = known_as(address, &args.names);
    let credentials = Arc::new(Credentials::of(state.folder(), &addresses, &names)?);
    let kubeconfig = credentials.write_kubeconfig(&server_url(address))?;
    let mut signals = Signals::listen()?;

    let clock = Clock::system();
    let logs = match args.log_dir {
        Some(folder) => {
            let unusable = |error| bad_input(format!("--log-dir {}: {error}", folder.display()));
            Spool::claim(&folder).map_err(unusable)?;
            folder
        }
        None => state.folder().join("logs"),
    };
    let mut node = Node::builder().name(&name).images(images.clone()).clock(clock).log_folder(logs);
    if args.state_dir.is_some() {
        // A folder that was named holds all: there may be no other that can be written.
        let folders = CacheDirectories { cache: state.folder().join("cache"), state: state.folder().into() };
        node = node.engine(Runtime::new(Some(folders))?);
    }
    if let Some(most) = args.max_container_restart_period {
        node = node.longest_restart_wait(most);
    }
    let node = node.resources(args.capacity.unwrap_or_default()).start()?;
    let control = node.control().clone();
    ensure_namespace(&*control, "default").await?;
    create(&*control, configs, pods).await?;

    let mut tasks = JoinSet::new();
    if let Some(folder) = args.pod_manifest_path {
        let read = Box::new(read_static);
        let pods = StaticPods { control: control.clone(), clock, folder, node: name.clone(), read };
        tasks.spawn(pods.run());
    }
    let ending = Arc::new(AtomicBool::new(false));
    let api = Api {
        control: control.clone(),
        nodes: HashMap::from([(name.clone(), node.handle().clone())]),
        clock,
        live: vec![Check::ping()],
        ready: vec![Check::ping(), ready(ending.clone())],
    };
    let end = CancellationToken::new();
    let app = router(Arc::new(api), Arc::new(Authorizer { credentials: credentials.clone(), names }));
    let mut server = tokio::spawn(server::serve(listener, credentials.tls.clone(), app, end.clone(), LAST_ANSWERS));

    announce(&name, address, &kubeconfig);
    tokio::select! {
        _ = signals.next() => {}
        // It only ends when it is told to; a panic in it is ours.
        ended = &mut server => { ended.context("the API server failed")?; }
    }
    ending.store(true, Ordering::Relaxed);
    tell!("ending the pods (at most {:?}); a second signal kills them", args.shutdown_grace);
    tasks.shutdown().await;
    tokio::select! {
        () = end_pods(&*control, node.handle(), args.shutdown_grace) => {}
        _ = signals.next() => tell!("killed"),
    }
    end.cancel();
    node.stop().await;
    let _ = tokio::time::timeout(LAST_ANSWERS, server).await;
    drop(state);
    Ok(Outcome::Success)
}

/// What open requests get to finish once everything else has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

fn first_pods(args: &ServeArgs, images: &Images) -> anyhow::Result<Input> {
    match args.files.is_empty() {
        true => Ok(Input { pods: Vec::new(), configs: Vec::new(), warnings: Vec::new() }),
        false => input::read_files(&args.files, None, Some(images)),
    }
}

async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let way_out = "--listen names another address; port 0 takes a free one";
    let failed = |error| bad_input(format!("cannot listen on {address}: {error} ({way_out})"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Under what clients may come: addresses and names for the certificate.
fn known_as(address: SocketAddr, given: &[String]) -> (Vec<IpAddr>, Vec<String>) {
    let mut addresses = vec![address.ip()];
    let mut names = Vec::new();
    for name in given {
        match name.parse() {
            Ok(ip) => addresses.push(ip),
            Err(_) => names.push(name.clone()),
        }
    }
    (addresses, names)
}

/// As Kubernetes names nodes: the machine's name in lower case.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_lowercase();
    match crate::model::formats::dns_subdomain(&name).is_empty() {
        true => name,
        false => "wasmpod".into(),
    }
}

fn ready(ending: Arc<AtomicBool>) -> Check {
    Check::new("shutdown", move || match ending.load(Ordering::Relaxed) {
        true => Err("the node is ending".into()),
        false => Ok(()),
    })
}

fn announce(name: &str, address: SocketAddr, kubeconfig: &Path) {
    tell!("node {name} serves the Kubernetes API at {}", server_url(address));
    tell!("  export KUBECONFIG={}", kubeconfig.display());
}

async fn create(control: &dyn ControlPlane, configs: Vec<Body>, pods: Vec<Pod>) -> anyhow::Result<()> {
    for namespace in configs.iter().filter_map(|config| config.metadata().namespace.as_deref()) {
        ensure_namespace(control, namespace).await?;
    }
    input::store(control, configs).await.map_err(|status| bad_input(status.to_string()))?;
    for pod in pods {
        if let Some(namespace) = pod.metadata.namespace.as_deref().filter(|ns| !ns.is_empty()) {
            ensure_namespace(control, namespace).await?;
        }
        control.create(Body::Pod(Box::new(pod))).await.map_err(|status| bad_input(status.to_string()))?;
    }
    Ok(())
}

/// The pods of a static manifest, checked as those of the command line are.
fn read_static(path: &Path) -> Result<Vec<Pod>, String> {
    let Input { pods, configs, warnings } =
        input::read_files(&[PathBuf::from(path)], None, None).map_err(|error| error.to_string())?;
    if !configs.is_empty() {
        return Err("a static manifest has pods alone: create its ConfigMaps and Secrets through the API".into());
    }
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(pods)
}

/// What of the time for ending pods is kept for killing them.
const TO_KILL: Duration = Duration::from_secs(3);

/// Has the node end all its pods, and waits until they are over or the time is up.
async fn end_pods(control: &dyn ControlPlane, handle: &Handle, grace: Duration) {
    let ended = async {
        let scope = Scope::all(Resource::PODS);
        let mut watch = control.watch(&scope, control.revision().await?).await?;
        // What does not end in its time is killed two seconds after it was asked (K66), and that takes a moment.
        handle.shut_down(grace.saturating_sub(TO_KILL)).await;
        let runs = |object: &Arc<Object>| {
            let pod = object.decode::<Pod>();
            pod.is_ok_and(|pod| !pods::is_terminal(&pod) && pod.spec.as_ref().is_some_and(|s| s.node_name.is_some()))
        };
        while control.list(&scope).await?.items.iter().any(runs) {
            if watch.next().await.is_none() {
                break;
            }
        }
        Ok::<_, Status>(())
    };
    match tokio::time::timeout(grace, ended).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cannot end the pods"),
        Err(_late) => tell!("the time is up: what still runs is killed"),
    }
}
