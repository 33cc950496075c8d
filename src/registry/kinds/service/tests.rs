//! Tests of allocation and of changes of the type, through the registry.

use std::collections::BTreeSet;
use std::thread;

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::control::{Body, ControlPlane, FieldValidation, Patch, PatchKind};
use crate::store::ObjectStore;

fn registry() -> Registry {
    Registry::new(ObjectStore::new(100), Clock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time")))
}

fn key(name: &str) -> Key {
    Key::new(Resource::of::<Service>(), "default", name)
}

fn create(control: &dyn ControlPlane, name: &str, spec: Value) -> Result<Value, Status> {
    let object = json!({"metadata": {"name": name}, "spec": spec});
    let service: Service = serde_json::from_value(object).expect("a Service");
    let created = control.create(Body::from(service)).now_or_never().expect("creation does not wait");
    created.map(|object| serde_json::from_slice(&object.json).expect("JSON"))
}

fn patch(control: &dyn ControlPlane, name: &str, spec: Value) -> Result<Value, Status> {
    let body = json!({"spec": spec}).to_string().into_bytes();
    let patch = Patch { kind: PatchKind::Merge, body, field_validation: FieldValidation::Strict };
    let update = Update::Patch { patch, subresource: Subresource::Main };
    let key = key(name);
    let updated = control.update(&key, update, Preconditions::default()).now_or_never().expect("no waiting");
    updated.map(|object| serde_json::from_slice(&object.json).expect("JSON"))
}

fn with_port(spec: Value) -> Value {
    let mut spec = spec;
    spec["ports"] = json!([{"port": 80}]);
    spec
}

fn node_port(service: &Value) -> i64 {
    service["spec"]["ports"][0]["nodePort"].as_i64().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn simultaneous_creates_get_different_addresses() {
    let registry = registry();
    let created: Vec<Value> = thread::scope(|scope| {
        let create_ten = |thread: usize| {
            let registry = &registry;
            scope.spawn(move || {
                let spec = with_port(json!({"type": "NodePort"}));
                let create_one = |i| create(registry, &format!("s{thread}-{i}"), spec.clone()).expect("created");
                (0..10).map(create_one).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..8).map(create_ten).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let ips: BTreeSet<&str> = created.iter().filter_map(|service| service["spec"]["clusterIP"].as_str()).collect();
    let ports: BTreeSet<i64> = created.iter().map(node_port).collect();
    assert_eq!((ips.len(), ports.len()), (80, 80));
    assert!(ips.iter().all(|ip| ip.starts_with("10.96.") && !ip.starts_with("10.96.0.")), "{ips:?}");
    assert!(ports.iter().all(|port| (30086..=32767).contains(port)), "{ports:?}");
}

#[tokio::test(start_paused = true)]
async fn deleted_services_release_what_they_had() {
    let registry = registry();
    let spec = || json!({"type": "NodePort", "clusterIP": "10.96.3.4", "ports": [{"port": 80, "nodePort": 30080}]});
    create(&registry, "a", spec()).expect("created");
    let message = create(&registry, "b", spec()).expect_err("both are taken").message;
    assert!(message.contains("failed to allocate IP 10.96.3.4: provided IP is already allocated"), "{message}");
    let port_only = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]});
    let message = create(&registry, "b", port_only).expect_err("the port is taken").message;
    assert!(message.contains("spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"));
    registry.delete(&key("a"), DeleteOptions::default()).await.expect("deleted");
    create(&registry, "b", spec()).expect("both are free");
}

#[tokio::test(start_paused = true)]
async fn addresses_outside_of_the_ranges_are_rejected() {
    let registry = registry();
    let other = "the provided network does not match the current range";
    for (spec, detail) in [
        (json!({"clusterIP": "10.97.0.1", "ports": [{"port": 80}]}), other),
        (json!({"clusterIP": "10.96.0.0", "ports": [{"port": 80}]}), other),
        (json!({"clusterIP": "10.96.255.255", "ports": [{"port": 80}]}), other),
        (json!({"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}), "provided IP is already allocated"),
        (
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 29999}]}),
            "provided port is not in the valid range. The range of valid ports is 30000-32767",
        ),
    ] {
        let message = create(&registry, "a", spec).expect_err(detail).message;
        assert!(message.ends_with(detail), "{message}");
    }
    let kubernetes = create(&registry, "kubernetes", json!({"clusterIP": "10.96.0.1", "ports": [{"port": 443}]}));
    assert_eq!(kubernetes.expect("its own address")["spec"]["clusterIP"], "10.96.0.1");
}

#[tokio::test(start_paused = true)]
async fn dry_run_allocates_nothing() {
    let registry = registry();
    let dry_run = registry.dry_run();
    let spec = || json!({"type": "NodePort", "clusterIP": "10.96.3.4", "ports": [{"port": 80, "nodePort": 30080}]});
    create(&*dry_run, "a", spec()).expect("it would succeed");
    create(&registry, "a", spec()).expect("nothing was taken");
    create(&*dry_run, "b", spec()).expect("a dry run does not look");
}

#[tokio::test(start_paused = true)]
async fn types_change_back_and_forth() {
    let registry = registry();
    let created = create(&registry, "a", with_port(json!({}))).expect("created");
    let ip = created["spec"]["clusterIP"].clone();
    let as_node_port = patch(&registry, "a", json!({"type": "NodePort"})).expect("a NodePort");
    assert_eq!(as_node_port["spec"]["clusterIP"], ip);
    let port = node_port(&as_node_port);
    assert!((30000..=32767).contains(&port), "{port}");
    let kept = patch(&registry, "a", json!({"ports": [{"port": 81}]})).expect("another port");
    assert_eq!(node_port(&kept), port, "a port of the same name keeps its node port");
    let as_balancer = patch(&registry, "a", json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}));
    let as_balancer = as_balancer.expect("a LoadBalancer");
    let check_port = as_balancer["spec"]["healthCheckNodePort"].as_i64().expect("a port for health checks");
    assert!((30000..=32767).contains(&check_port) && check_port != port, "{check_port}");
    let as_cluster_ip = patch(&registry, "a", json!({"type": "ClusterIP"})).expect("a ClusterIP");
    let spec = as_cluster_ip["spec"].as_object().expect("a spec");
    for dropped in ["healthCheckNodePort", "externalTrafficPolicy", "allocateLoadBalancerNodePorts"] {
        assert!(!spec.contains_key(dropped), "{dropped}");
    }
    assert_eq!(node_port(&as_cluster_ip), 0);
    let external = patch(&registry, "a", json!({"type": "ExternalName", "externalName": "a.example.com"}));
    let external = external.expect("an ExternalName");
    let spec = external["spec"].as_object().expect("a spec");
    for dropped in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        assert!(!spec.contains_key(dropped), "{dropped}");
    }
    let again = patch(&registry, "a", json!({"type": "ClusterIP", "externalName": null})).expect("a ClusterIP");
    assert!(again["spec"]["clusterIP"].as_str().expect("a new address").starts_with("10.96."));
}

#[tokio::test(start_paused = true)]
async fn headless_services_stay_headless() {
    let registry = registry();
    let created = create(&registry, "a", with_port(json!({"clusterIP": "None", "selector": {"a": "b"}})));
    assert_eq!(created.expect("created")["spec"]["clusterIPs"], json!(["None"]));
    let message = patch(&registry, "a", json!({"type": "NodePort"})).expect_err("it has no address").message;
    assert!(message.contains("spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None'"), "{message}");
    let message = patch(&registry, "a", json!({"clusterIP": "10.96.9.9"})).expect_err("unchangeable").message;
    assert!(message.contains("may not change once set"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn deletion_takes_the_endpoints_along() {
    let registry = registry();
    create(&registry, "a", with_port(json!({}))).expect("created");
    let endpoints: Endpoints = serde_json::from_value(json!({"metadata": {"name": "a"}})).expect("Endpoints");
    registry.create(Body::from(endpoints)).await.expect("created");
    registry.delete(&key("a"), DeleteOptions::default()).await.expect("deleted");
    let endpoints = Key::new(Resource::of::<Endpoints>(), "default", "a");
    registry.get(&endpoints).await.expect_err("deleted too");
}

#[test]
fn manifests_may_set_what_clients_may_set() {
    let check = |spec: Value| {
        let object = json!({"metadata": {"name": "web"}, "spec": with_port(spec)});
        let service: Service = serde_json::from_value(object).expect("a Service");
        let kind = crate::registry::kinds::of(&Resource::of::<Service>()).expect("a kind");
        kind.check_new(Body::from(service)).map_err(|status| status.causes.iter().map(ToString::to_string).collect())
    };
    for spec in [
        json!({"clusterIP": "None", "selector": {"a": "b"}}),
        json!({"clusterIP": "None"}),
        json!({"clusterIP": "10.96.50.50"}),
        json!({"clusterIPs": ["10.96.50.50"], "clusterIP": "10.96.50.50"}),
        json!({"type": "NodePort", "clusterIP": ""}),
        json!({"type": "ExternalName", "externalName": "db.example.com"}),
    ] {
        assert_eq!(check(spec.clone()), Ok(Vec::new()), "{spec}");
    }
    for (spec, expected) in [
        (
            json!({"clusterIP": "192.168.0.1"}),
            "spec.clusterIPs: Invalid value: [\"192.168.0.1\"]: failed to allocate IP 192.168.0.1: the provided network \
             does not match the current range",
        ),
        (
            json!({"clusterIPs": ["10.96.50.50"]}),
            "spec.clusterIPs: Invalid value: [\"10.96.50.50\"]: must be empty when `clusterIP` is not specified",
        ),
        (
            json!({"clusterIP": "10.96.50.50", "clusterIPs": ["10.96.50.51"]}),
            "spec.clusterIPs: Invalid value: [\"10.96.50.51\"]: first value must match `clusterIP`",
        ),
    ] {
        assert_eq!(check(spec.clone()), Err(vec![expected.to_string()]), "{spec}");
    }
}
