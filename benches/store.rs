//! What durable writes cost in `serve`, beside redb and a plain file on the same disk, and how fast a node is back.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redb::TableDefinition;

use super::api::{in_turn, length};
use super::figures::{Figure, percentile};
use super::native::{field, millis};
use super::start::program;

/// Bytes of what the yardsticks write: those of a ConfigMap as stored.
const RECORD: usize = 400;
const ROUND: Duration = Duration::from_millis(700);
/// Clients that write at once.
const CLIENTS: usize = 32;

/// `wasmpod serve` on a state directory.
struct Served {
    child: Child,
    address: String,
    token: String,
}

impl Served {
    fn start(directory: &Path) -> Served {
        let mut child = Command::new(program())
            .args(["serve", "--listen", "127.0.0.1:0", "--builtin-images", "--state-dir"])
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wasmpod starts");
        let stderr = BufReader::new(child.stderr.take().expect("standard error"));
        let mut lines = stderr.lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("https://")).expect("the address");
        // Its messages are read, so that it never waits.
        std::thread::spawn(move || lines.for_each(drop));
        let address = line.split("https://").nth(1).expect("an address").to_string();
        let token = std::fs::read_to_string(directory.join("token")).expect("a token").trim().to_string();
        Served { child, address, token }
    }

    fn connect(&self) -> Connection<'_> {
        let stream = TcpStream::connect(&self.address).expect("connected");
        stream.set_nodelay(true).expect("no delay");
        Connection { served: self, reader: BufReader::new(stream) }
    }

    /// Returns a field of `/proc/PID/io` or `/proc/PID/status`.
    fn proc(&self, file: &str, name: &str) -> f64 {
        field(&std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("/proc"), name)
    }

    /// Kills the node, as a power cut would.
    fn kill(self) {}
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("exited");
    }
}

struct Connection<'s> {
    served: &'s Served,
    reader: BufReader<TcpStream>,
}

impl Connection<'_> {
    fn send(&mut self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let Served { address, token, .. } = self.served;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.reader.get_mut().write_all(head.as_bytes()).expect("sent");
        let mut body = vec![0; length(&mut self.reader)];
        self.reader.read_exact(&mut body).expect("a body");
        body
    }

    fn create_map(&mut self, name: &str) {
        let body = format!(r#"{{"metadata":{{"name":"{name}"}},"data":{{"value":"{}"}}}}"#, "x".repeat(100));
        self.send("POST", "/api/v1/namespaces/default/configmaps", &body);
    }

    fn create_pod(&mut self, name: &str) {
        let container = r#"{"name":"c","image":"registry.k8s.io/pause"}"#;
        let body = format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{"containers":[{container}]}}}}"#);
        self.send("POST", "/api/v1/namespaces/default/pods", &body);
    }

    /// Returns the number of pods that run.
    fn running(&mut self) -> usize {
        let list = self.send("GET", "/api/v1/pods?fieldSelector=status.phase%3DRunning", "");
        let list: serde_json::Value = serde_json::from_slice(&list).expect("JSON");
        list["items"].as_array().expect("items").len()
    }
}

/// Returns how often `write` ran per second during a round.
fn rate(mut write: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < ROUND {
        write(count);
        count += 1;
    }
    count as f64 / start.elapsed().as_secs_f64()
}

/// Measures creations that are answered once they are durable.
pub fn creations() -> Vec<Figure> {
    let directory = tempfile::tempdir().expect("a directory");
    let served = Served::start(directory.path());
    let mut round = 0;
    let database = redb::Database::create(directory.path().join("yardstick.redb")).expect("created");
    let (one, native_one) = in_turn(
        || {
            round += 1;
            let mut connection = served.connect();
            rate(|i| connection.create_map(&format!("one-{round}-{i}")))
        },
        || rate(|i| commit(&database, i)),
    );
    let mut file = File::create(directory.path().join("yardstick.log")).expect("created");
    let (many, native_many) = in_turn(
        || {
            round += 1;
            concurrent_rate(&served, round)
        },
        // As many records as clients write at once, with one sync.
        || CLIENTS as f64 * rate(|_| append(&mut file)),
    );
    served.kill();
    vec![
        Figure::new("api_create_durable_c1", one, "1/s").at_least_part_of(0.5, native_one),
        Figure::new("api_create_durable_c32", many, "1/s")
            .at_least((0.5 * native_many).max(5000.0).round())
            .beside(native_many),
    ]
}

fn commit(database: &redb::Database, number: usize) {
    const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
    let transaction = database.begin_write().expect("a transaction");
    transaction.open_table(TABLE).expect("a table").insert(number as u64, [1; RECORD].as_slice()).expect("inserted");
    transaction.commit().expect("committed");
}

fn append(file: &mut File) {
    file.write_all(&[1; RECORD * CLIENTS]).expect("written");
    file.sync_data().expect("synced");
}

fn concurrent_rate(served: &Served, round: usize) -> f64 {
    let start = Instant::now();
    let count: f64 = std::thread::scope(|scope| {
        let client = |client: usize| {
            move || {
                let mut connection = served.connect();
                rate(|i| connection.create_map(&format!("many-{round}-{client}-{i}"))) * ROUND.as_secs_f64()
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(client(number))).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).sum()
    });
    count / start.elapsed().as_secs_f64()
}

/// Measures the start of a store with 10,000 objects, and of a node with 1,000 pods that was killed.
pub fn restarts() -> Vec<Figure> {
    const OBJECTS: usize = 10_000;
    const PODS: usize = 1000;
    let directory = tempfile::tempdir().expect("a directory");
    fill(directory.path(), OBJECTS);
    let mut opened: Vec<f64> = (0..5).map(|_| open_ms(directory.path(), OBJECTS)).collect();
    // Each round has pods of its own: a container that was restarted before waits for its back-off.
    let mut ready: Vec<f64> = (0..3).map(|_| restart_s(PODS)).collect();
    vec![
        Figure::new("store_open_10000_objects_ms", percentile(&mut opened, 0.5), "ms").at_most(300.0),
        Figure::new("restart_1000_pods_ready_s", percentile(&mut ready, 0.5), "s").at_most(2.0),
    ]
}

/// Creates ConfigMaps in a store that is killed afterwards.
fn fill(directory: &Path, objects: usize) {
    let served = Served::start(directory);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let served = &served;
            scope.spawn(move || {
                let mut connection = served.connect();
                (client..objects).step_by(CLIENTS).for_each(|i| connection.create_map(&format!("m{i}")));
            });
        }
    });
    served.kill();
}

fn open_ms(directory: &Path, objects: usize) -> f64 {
    use wasmpod::budget::{DEFAULT_RETAINED_MEMORY, RetainedMemory};
    use wasmpod::registry::kinds;
    use wasmpod::store::{HistoryLimits, ObjectStore};
    // A copy, as it was when the node was killed.
    let copy = directory.join("copy.redb");
    std::fs::copy(directory.join("objects.redb"), &copy).expect("copied");
    let limits = HistoryLimits::within(RetainedMemory::new(DEFAULT_RETAINED_MEMORY));
    let start = Instant::now();
    let store = ObjectStore::open(&copy, limits, 1, &kinds::resource_of_names).expect("opened");
    let took = millis(start.elapsed());
    let scope = wasmpod::control::Scope::all(wasmpod::control::Resource::CONFIG_MAPS);
    assert!(store.list(&scope).0.len() >= objects);
    store.close();
    took
}

/// Returns the seconds from the start of a node that was killed until its pods run again.
fn restart_s(pods: usize) -> f64 {
    let directory = tempfile::tempdir().expect("a directory");
    let served = Served::start(directory.path());
    let mut connection = served.connect();
    (0..pods).for_each(|i| connection.create_pod(&format!("p{i}")));
    until(|| connection.running() == pods);
    // Statuses are written with the next change that a client makes.
    connection.create_map("flush");
    served.kill();
    let start = Instant::now();
    let served = Served::start(directory.path());
    let mut connection = served.connect();
    until(|| restarted(&mut connection) == pods);
    start.elapsed().as_secs_f64()
}

/// Returns the number of pods whose container runs and is ready after a restart.
fn restarted(connection: &mut Connection<'_>) -> usize {
    let list = connection.send("GET", "/api/v1/namespaces/default/pods", "");
    let list: serde_json::Value = serde_json::from_slice(&list).expect("JSON");
    let is_ready = |pod: &&serde_json::Value| pod["status"]["containerStatuses"][0]["ready"] == true;
    let has_restarted = |pod: &&serde_json::Value| {
        let status = &pod["status"]["containerStatuses"][0];
        status["restartCount"] == 1 && status["state"]["running"].is_object()
    };
    list["items"].as_array().expect("items").iter().filter(is_ready).filter(has_restarted).count()
}

fn until(mut is_done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_done() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Measures what an idle node writes, and the memory that is left after a churn of pods.
pub fn idle() -> Vec<Figure> {
    let directory = tempfile::tempdir().expect("a directory");
    let served = Served::start(directory.path());
    std::thread::sleep(Duration::from_secs(5));
    let before = served.proc("io", "write_bytes:");
    std::thread::sleep(Duration::from_secs(60));
    let written = served.proc("io", "write_bytes:") - before;
    let mut connection = served.connect();
    let idle = served.proc("status", "VmRSS:") / 1024.0;
    for round in 0..12 {
        (0..100).for_each(|i| connection.create_pod(&format!("p{round}-{i}")));
        until(|| connection.running() == 100);
        connection.send("DELETE", "/api/v1/namespaces/default/pods", r#"{"gracePeriodSeconds":0}"#);
        until(|| connection.running() == 0);
    }
    // The node gives free memory back when it looks at it, every ten seconds.
    std::thread::sleep(Duration::from_secs(15));
    let after = served.proc("status", "VmRSS:") / 1024.0;
    served.kill();
    vec![
        Figure::new("idle_disk_writes", written, "B/min").at_most(0.0),
        // What it keeps for clients may take 64 MiB.
        Figure::new("rss_after_churn_mib", after, "MiB").at_most((1.5 * idle + 64.0).round()).beside(idle),
    ]
}
