//! Kinds other than pods, created, listed, described and deleted with kubectl.

use crate::support::{ServedNode, serve_node};

/// What `kubectl create` builds itself, and what it prints.
const CREATED: &[(&str, &str)] = &[
    ("namespace shop", "namespace/shop"),
    ("configmap m --from-literal=a=1", "configmap/m"),
    ("secret generic s --from-literal=password=p", "secret/s"),
    ("serviceaccount robot", "serviceaccount/robot"),
    ("deployment web --image=nginx --replicas=2", "deployment.apps/web"),
    ("job once --image=busybox -- true", "job.batch/once"),
    ("cronjob hourly --image=busybox --schedule=@hourly -- true", "cronjob.batch/hourly"),
    ("service clusterip web --tcp=80:8080", "service/web"),
    ("quota small --hard=pods=3", "resourcequota/small"),
    ("poddisruptionbudget web --selector=app=web --min-available=1", "poddisruptionbudget.policy/web"),
    ("role reader --verb=get --resource=pods", "role.rbac.authorization.k8s.io/reader"),
    ("rolebinding readers --role=reader --user=ann", "rolebinding.rbac.authorization.k8s.io/readers"),
    ("clusterrole all --verb=* --resource=*", "clusterrole.rbac.authorization.k8s.io/all"),
    ("clusterrolebinding all --clusterrole=all --user=ann", "clusterrolebinding.rbac.authorization.k8s.io/all"),
    ("priorityclass high --value=1000", "priorityclass.scheduling.k8s.io/high"),
    ("ingress web --rule=shop.example/*=web:80", "ingress.networking.k8s.io/web"),
];

fn with_all_kinds() -> ServedNode {
    let node = serve_node();
    for (line, name) in CREATED {
        assert_eq!(node.kubectl_stdout(&format!("create {line}")), format!("{name} created\n"), "{line}");
    }
    node
}

#[test]
fn kinds_that_kubectl_builds_are_created_listed_and_described() {
    let node = with_all_kinds();
    let all = node.kubectl_stdout("get all");
    for name in ["service/web", "deployment.apps/web", "cronjob.batch/hourly", "job.batch/once"] {
        assert!(all.contains(name), "{name}: {all}");
    }
    let listable = node.kubectl_stdout("api-resources --verbs=list -o name");
    assert!(listable.lines().count() >= 36, "{listable}");
    for kind in listable.lines() {
        node.kubectl_stdout(&format!("get {kind} -A"));
        node.kubectl_stdout(&format!("describe {kind} -A"));
    }
    for (line, expected) in [
        ("describe deployment web", "Replicas:               2 desired"),
        ("describe service web", "Port:                     80-8080  80/TCP"),
        ("describe quota small", "Resource    Used  Hard"),
        ("describe node n1", "HolderIdentity:  n1"),
        ("get lease n1 -n kube-node-lease -o jsonpath={.spec.leaseDurationSeconds}", "40"),
        ("explain deployment.spec.strategy", "FIELD: strategy <DeploymentStrategy>"),
        ("get priorityclass", "system-node-critical"),
        ("auth can-i delete pods", "yes"),
        ("auth whoami", "Username"),
        ("scale deployment web --replicas=3", "deployment.apps/web scaled"),
        ("taint nodes n1 dedicated=db:NoSchedule", "node/n1 tainted"),
        ("cordon n1", "node/n1 cordoned"),
        ("get nodes", "Ready,SchedulingDisabled"),
        ("uncordon n1", "node/n1 uncordoned"),
        ("delete ns shop", "namespace \"shop\" deleted"),
    ] {
        let printed = node.kubectl_stdout(line);
        assert!(printed.contains(expected), "{line}: {printed}");
    }
}

#[test]
fn lists_are_read_back_and_applied() {
    let node = with_all_kinds();
    let list = node.kubectl_stdout("get configmap/m secret/s deployment/web service/web -o yaml");
    let file = node.directory.state().with_file_name("list.yaml");
    std::fs::write(&file, list).expect("written");
    let applied = node.kubectl(&format!("apply -f {}", file.display())).output().expect_code(0);
    let lines: Vec<&str> = applied.stdout.lines().collect();
    let names = ["configmap/m", "secret/s", "deployment.apps/web", "service/web"];
    assert_eq!(lines, names.map(|name| format!("{name} configured")), "the annotation of apply is new");
}
