//! Informers of three clients go on while the node is killed and started again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{NodeDirectory, PlainClient, RunningProcess, ServedNode, serve_node};

const NAMESPACE: &str = "/api/v1/namespaces/informed";

const ROUNDS: usize = 20;

/// The round in which the informers fall asleep. They wake up two lives of the node later.
const ASLEEP: usize = 10;

/// More changes than watches can still read, so that the node forgets what happened before them.
const FORGETTING_EVENTS: usize = 4200;

#[test]
fn informers_resume_over_restarts_without_ghosts_and_holes() {
    let node = serve_node();
    let client = PlainClient::new(&node);
    client.request("POST", "/api/v1/namespaces", &json!({"metadata": {"name": "informed"}}));
    client.request(
        "POST",
        &format!("{NAMESPACE}/configmaps"),
        &json!({"metadata": {"name": "mark"}, "data": {"round": "start"}}),
    );
    // The informers list at a revision that the node loses when it is killed: it does not write a lease alone.
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1";
    client.request("PATCH", lease, &json!({"metadata": {"annotations": {"renewed": "by a client"}}}));
    let informers = start_informers(&node);
    informers.iter().for_each(|informer| drop(informer.cache("start")));
    let mut node = restarted(node.kill(), &client);
    let mut writers: Vec<Writer> = (0..4).map(Writer::new).collect();
    for round in 0..ROUNDS {
        // In the other rounds, the informers may still be about to connect when the node is killed.
        if round % 2 == 0 {
            check_caches(&client, &informers, &round.to_string());
        }
        if round == ASLEEP {
            informers.iter().for_each(|informer| informer.process.signal(Signal::STOP));
        }
        if round == ASLEEP + 1 {
            post_events(&client, FORGETTING_EVENTS);
        }
        node = restarted(killed_while_writing(node, &client, &mut writers, 20 + round * 37 % 100), &client);
        check_objects(&client, &mut writers);
        if round == ASLEEP + 1 {
            informers.iter().for_each(|informer| informer.process.signal(Signal::CONT));
        }
    }
    check_caches(&client, &informers, "end");
    informers.into_iter().for_each(Informer::check_lists);
}

fn start_informers(node: &ServedNode) -> [Informer; 3] {
    let commands = [
        ("Python", node.python("clients/informer.py").arg("informed")),
        ("JavaScript", node.javascript("clients/informer.mjs", &["informed"])),
        ("kube-rs", node.kube_rs("informer").arg("informed")),
    ];
    commands.map(|(name, command)| Informer { name, process: command.start() })
}

/// Starts a node in the directory of one that was killed, at the same address.
fn restarted(directory: NodeDirectory, client: &PlainClient) -> ServedNode {
    let process = directory.serve_at(&client.address, "5s").start();
    ServedNode::ready(process, directory)
}

/// A client's program that keeps a cache of the ConfigMaps.
struct Informer {
    name: &'static str,
    process: RunningProcess,
}

impl Informer {
    /// Waits until the informer has seen a round, and returns the objects that its cache then had.
    fn cache(&self, round: &str) -> BTreeSet<String> {
        let seen = format!("round {round}\n");
        self.process.wait_for(&seen);
        let printed = self.process.stdout();
        let cache = printed.split(&seen).next().and_then(|before| before.lines().next_back()).expect("a cache");
        cache.split(", ").map(String::from).collect()
    }

    /// Checks that the informer has ended, and that it resumed most of its watches without another list.
    fn check_lists(self) {
        let output = self.process.output().expect_code(0);
        let lists = output.stdout.lines().find_map(|line| line.strip_prefix("lists: ")?.parse::<usize>().ok());
        // The first one, the one after the long sleep, and few others at a revision that the node lost.
        let is_expected = lists.is_some_and(|lists| (2..7).contains(&lists));
        assert!(is_expected, "{} listed {lists:?} times: {}", self.name, output.stderr);
    }
}

/// Marks a round, and checks that the caches equal a fresh list once the informers have seen it.
fn check_caches(client: &PlainClient, informers: &[Informer], round: &str) {
    let mark = json!({"data": {"round": round}});
    client.request("PATCH", &format!("{NAMESPACE}/configmaps/mark"), &mark);
    let list = client.request("GET", &format!("{NAMESPACE}/configmaps"), &Value::Null);
    let listed = revisions(&list).map(|(name, revision)| format!("{name} {revision}")).collect();
    for informer in informers {
        let cache = informer.cache(round);
        let (ghosts, holes): (Vec<_>, Vec<_>) =
            (cache.difference(&listed).collect(), listed.difference(&cache).collect());
        let name = informer.name;
        assert!(ghosts.is_empty() && holes.is_empty(), "{name} in round {round}: ghosts {ghosts:?}, holes {holes:?}");
    }
}

/// Returns the names and revisions of the objects of a list.
fn revisions(list: &Value) -> impl Iterator<Item = (&str, u64)> {
    let items = list["items"].as_array().expect("items").iter().map(|item| &item["metadata"]);
    items.map(|metadata| (metadata["name"].as_str().expect("a name"), revision(metadata)))
}

fn revision(metadata: &Value) -> u64 {
    metadata["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a revision")
}

/// Kills the node in the middle of the writers' work, after so many `writes`, and returns what it left.
fn killed_while_writing(
    node: ServedNode,
    client: &PlainClient,
    writers: &mut [Writer],
    writes: usize,
) -> NodeDirectory {
    let (report, acknowledged) = mpsc::channel();
    thread::scope(|scope| {
        for writer in writers {
            let report = report.clone();
            scope.spawn(move || while writer.write(client, &report).is_some() {});
        }
        for _ in 0..writes {
            acknowledged.recv_timeout(Duration::from_secs(30)).expect("a write");
        }
        node.kill()
    })
}

/// Posts events, of which none waits for the disk.
fn post_events(client: &PlainClient, count: usize) {
    const THREADS: usize = 4;
    let post = |name: usize| {
        let event = json!({
            "metadata": {"name": format!("event-{name}")}, "type": "Normal", "reason": "Forgetting", "message": "news",
            "involvedObject": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "informed", "name": "mark"},
        });
        client.request("POST", &format!("{NAMESPACE}/events"), &event);
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || (thread..count).step_by(THREADS).for_each(post));
        }
    });
}

/// Checks that the objects are as the writers know them, and that the revision has not gone back.
fn check_objects(client: &PlainClient, writers: &mut [Writer]) {
    let list = client.request("GET", &format!("{NAMESPACE}/configmaps"), &Value::Null);
    let objects: BTreeMap<&str, u64> = revisions(&list).collect();
    let newest = revision(&list["metadata"]);
    for writer in writers {
        assert!(newest >= writer.newest, "the revision went back from {} to {newest}", writer.newest);
        writer.check(&objects);
        writer.newest = newest;
    }
}

/// A client that creates, changes and deletes ConfigMaps of its own.
struct Writer {
    /// Revisions of the objects that it may create; `None` for one that does not exist.
    objects: BTreeMap<String, Option<u64>>,
    /// The write that was not acknowledged when the node was killed.
    attempt: Option<Attempt>,
    /// The newest revision in a response.
    newest: u64,
    random: usize,
}

struct Attempt {
    name: String,
    is_deletion: bool,
}

impl Writer {
    fn new(number: usize) -> Writer {
        let objects = (0..50).map(|object| (format!("w{number}-{object}"), None)).collect();
        Writer { objects, attempt: None, newest: 0, random: number }
    }

    /// Writes once and reports that this was acknowledged. Returns `None` once the node is gone.
    fn write(&mut self, client: &PlainClient, report: &Sender<()>) -> Option<()> {
        self.random = (self.random * 1_103_515_245 + 12_345) % (1 << 31);
        let choice = self.random >> 8;
        let (name, known) = self.objects.iter_mut().nth(choice % 50).expect("50 objects");
        let collection = format!("{NAMESPACE}/configmaps");
        let (method, path) = match known {
            None => ("POST", collection),
            Some(_) if (choice / 50).is_multiple_of(3) => ("DELETE", format!("{collection}/{name}")),
            Some(_) => ("PATCH", format!("{collection}/{name}")),
        };
        let is_deletion = method == "DELETE";
        self.attempt = Some(Attempt { name: name.clone(), is_deletion });
        let body = json!({"metadata": {"name": name}, "data": {"choice": choice.to_string()}});
        let (code, answer) = client.send(method, &path, if is_deletion { &Value::Null } else { &body })?;
        assert!(code < 300, "{method} {path}: {code} {answer}");
        // What a deletion answers has no revision.
        *known = (!is_deletion).then(|| revision(&answer["metadata"]));
        if let Some(revision) = *known {
            assert!(revision > self.newest, "the revision went back from {} to {revision}", self.newest);
            self.newest = revision;
        }
        self.attempt = None;
        // Nobody listens once the node is being killed.
        let _ = report.send(());
        Some(())
    }

    /// Checks the objects of this writer among those that a node has which was killed.
    fn check(&mut self, found: &BTreeMap<&str, u64>) {
        for (name, known) in &mut self.objects {
            let found = found.get(&**name).copied();
            // A write that was not acknowledged may have taken place.
            let attempt = self.attempt.take_if(|attempt| attempt.name == *name);
            let is_attempted = attempt.is_some_and(|attempt| match found {
                None => attempt.is_deletion,
                Some(revision) => !attempt.is_deletion && revision > self.newest,
            });
            assert!(found == *known || is_attempted, "{name} has revision {found:?}, not {known:?}");
            *known = found;
        }
    }
}
