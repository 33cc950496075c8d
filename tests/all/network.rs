//! A pod's network: its containers reach each other, and neither other pods nor the host.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasmpod::clock::Clock;
use wasmpod::logs::Log;
use wasmpod::network::{Accepted, Connection, ConnectionStream, Listener};
use wasmpod::runtime::{Runtime, Stdio};

use crate::support::guests::{compile, container_context, exit_of, unlimited_account};
use crate::support::{pod, run, scripts};

const WEB: &str = "{name: web, image: nginx}";

fn client(script: &str) -> String {
    format!("{{name: client, image: busybox, command: [sh, -c, {}]}}", serde_json::Value::from(script))
}

#[test]
fn web_server_answers_another_container() {
    let script = "until wget -qO- http://localhost/ > page; do sleep 0.02; done; cat page; wget -qO- http://127.0.0.1:80/index.html | cmp - page && echo same; echo end; sleep 1000";
    let child = run().manifest(&pod("p", &format!("containers: [{WEB}, {}]", client(script)))).start();
    child.wait_for("p/client | end\n");
    child.interrupt();
    let output = child.output().expect_code(130);
    assert!(output.log("p/client").contains("<h1>It works</h1>\n"), "{output:?}");
    assert!(output.log("p/client").ends_with("same\nend\n"), "{output:?}");
    assert!(output.log("p/web").contains("GET / "), "no access log: {output:?}");
}

#[test]
fn web_servers_start_as_their_images_document() {
    let spec = format!(
        "containers: [{{name: web, image: nginx, command: [nginx, -g, 'daemon off;']}}, {{name: own, image: busybox, \
         command: [httpd, -f, -p, '8080', -h, /tmp]}}, {}]",
        client(
            "until wget -qO page http://localhost/; do sleep 0.02; done; \
             until wget -qO- http://localhost:8080/nope 2>&1 | grep 404; do sleep 0.02; done; head -n 3 page; echo end; sleep 1000"
        )
    );
    let child = run().manifest(&pod("p", &spec)).start();
    child.wait_for("p/client | end\n");
    child.interrupt();
    let output = child.output().expect_code(130);
    assert!(output.log("p/client").contains("404 Not Found\n<!DOCTYPE html>"), "{output:?}");
    assert_eq!(
        output.log("p/web").lines().next(),
        Some("httpd: serving /usr/share/nginx/html on port 80"),
        "{output:?}"
    );
}

#[test]
fn web_server_serves_a_shared_volume() {
    let spec = format!(
        "restartPolicy: Never, volumes: [{{name: v, emptyDir: {{}}}}], \
         initContainers: [{{name: fill, image: busybox, command: [sh, -c, 'echo hello > /site/index.html'], volumeMounts: [{{name: v, mountPath: /site}}]}}], \
         containers: [{{name: web, image: nginx, volumeMounts: [{{name: v, mountPath: /usr/share/nginx/html}}]}}, {}]",
        client(
            "until wget -qO- http://localhost/; do sleep 0.02; done; wget -qO- http://localhost/nope || echo code $?; echo end"
        )
    );
    let child = run().manifest(&pod("p", &spec)).start();
    child.wait_for("p/client | end\n");
    child.interrupt();
    let output = child.output().expect_code(130);
    let log = output.log("p/client");
    assert!(log.contains("hello\n") && log.contains("404") && log.ends_with("code 1\nend\n"), "{log}");
}

#[test]
fn bytes_flow_both_ways_between_containers() {
    let server = "printf 'from the server\\n' | nc -l -p 8080";
    let client =
        "until printf 'from the client\\n' | nc localhost 8080 > got 2> /dev/null; do sleep 0.02; done; cat got";
    let output = run().manifest(&scripts("p", &[("server", server), ("client", client)])).output().expect_code(0);
    assert_eq!(output.log("p/server"), "from the client\n");
    assert_eq!(output.log("p/client"), "from the server\n");
}

#[test]
fn client_without_input_still_gets_the_response() {
    let server = "echo body | nc -l -p 8080";
    let client = "until nc localhost 8080 < /dev/null > got 2> /dev/null; do sleep 0.02; done; cat got";
    let output = run().manifest(&scripts("p", &[("server", server), ("client", client)])).output().expect_code(0);
    assert_eq!(output.log("p/client"), "body\n");
}

#[test]
fn large_transfer_arrives_complete() {
    let server = "seq 1 200000 | nc -l -p 8080";
    let client =
        "until nc localhost 8080 < /dev/null > got 2> /dev/null; do sleep 0.02; done; wc -c < got; tail -n 1 got";
    let output = run().manifest(&scripts("p", &[("server", server), ("client", client)])).output().expect_code(0);
    assert_eq!(output.log("p/client").split_whitespace().collect::<Vec<_>>(), ["1288895", "200000"]);
}

#[test]
fn connection_without_a_listener_is_refused() {
    let script = "nc localhost 4444 < /dev/null; echo nc $?; wget -qO- http://localhost:4444/; echo wget $?";
    let output = run().manifest(&scripts("p", &[("c", script)])).output().expect_code(0);
    let log = output.log("p/c").to_lowercase();
    assert!(log.contains("nc 1\n") && log.contains("wget 1\n"), "{log}");
    assert_eq!(log.matches("connection refused").count(), 2, "{log}");
}

#[test]
fn pods_on_the_same_port_are_isolated() {
    let serve = |word: &str| {
        let server = format!("echo {word} | nc -l -p 8080");
        scripts(
            word,
            &[
                ("server", &server),
                ("client", "until nc localhost 8080 < /dev/null > got 2> /dev/null; do sleep 0.02; done; cat got"),
            ],
        )
    };
    let stranger = scripts("stranger", &[("c", "sleep 0.2; nc localhost 8080 < /dev/null; echo code $?")]);
    let output = run().manifest(&[serve("one"), serve("two"), stranger].join("---\n")).output().expect_code(0);
    assert_eq!((output.log("one/client"), output.log("two/client")), ("one\n".into(), "two\n".into()));
    let log = output.log("stranger/c").to_lowercase();
    assert!(log.contains("connection refused") && log.contains("code 1"), "{log}");
}

#[test]
fn host_network_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of the host");
    let port = listener.local_addr().expect("its address").port();
    listener.set_nonblocking(true).expect("a listener that does not wait");
    let script = format!(
        "nc 127.0.0.1 {port} < /dev/null; echo $?; nc 10.0.0.1 80 < /dev/null; echo $?; nc example.com 80 < /dev/null; echo $?"
    );
    let output = run().manifest(&scripts("p", &[("c", &script)])).output().expect_code(0);
    let codes: Vec<String> = output.log("p/c").lines().filter(|l| l.len() == 1).map(Into::into).collect();
    assert_eq!(codes, ["1", "1", "1"], "{output:?}");
    assert!(listener.accept().is_err(), "a guest has reached the host");
}

#[test]
fn port_is_exclusive_and_freed_with_its_owner() {
    let first = "nc -l -p 8080 < /dev/null & sleep 0.1; echo listening > /dev/null; wait";
    let second = "until nc -l -p 8080 < /dev/null 2> err; do grep -qi 'in use' err && echo taken; sleep 0.05; \
                  nc localhost 8080 < /dev/null; break; done; (sleep 0.2; nc localhost 8080 < /dev/null) & nc -l -p 8080 < /dev/null && echo mine";
    let output = run()
        .manifest(&scripts("p", &[("first", first), ("second", &format!("sleep 0.2; {second}"))]))
        .output()
        .expect_code(0);
    assert_eq!(output.log("p/second"), "taken\nmine\n", "{output:?}");
}

#[tokio::test]
async fn busybox_httpd_serves_files_and_runs_programs() {
    let script = r##"
        mkdir -p /www/cgi-bin; echo hello > /www/r
        printf '#!/bin/sh\necho Status: 500\necho\n' > /www/cgi-bin/broken
        printf '#!/bin/sh\necho Content-type: text/plain\necho\necho "$REQUEST_METHOD $QUERY_STRING $HTTP_X_Y"; cat\n' > /www/cgi-bin/told
        chmod +x /www/cgi-bin/*
        httpd -p 8080 -h /www
        wget -qO- http://127.0.0.1:8080/r
        wget -qO- --header 'X-Y: z' 'http://127.0.0.1:8080/cgi-bin/told?a=b'
        wget -qO- --post-data body http://127.0.0.1:8080/cgi-bin/told; echo
        for path in none cgi-bin/none cgi-bin/broken %2e%2e/etc; do
            wget -qO- http://127.0.0.1:8080/$path 2>&1 | grep -o '[45][0-9][0-9]' | head -n 1
        done
    "##;
    let node = wasmpod::Node::in_memory().expect("a node");
    node.apply(scripts("p", &[("c", script)])).await.expect("applied");
    node.wait_complete("p").await.expect("it completes");
    let log = node.logs("p", "c").await.expect("logs");
    assert_eq!(log, "hello\nGET a=b z\nPOST  \nbody\n404\n404\n500\n400\n");
}

fn accepted(listener: &Listener) -> Connection {
    match listener.accept() {
        Accepted::Connection(connection) => *connection,
        _ => panic!("no connection waits"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guest_waits_while_the_backlog_is_full() {
    let runtime = Runtime::new(None).expect("a runtime");
    let context = container_context(&runtime, &unlimited_account());
    let address = ([127, 0, 0, 1], 7).into();
    let listener = context.endpoint.listen(address, 1).expect("free");
    let mut in_backlog = Vec::new();
    for _ in 0..128 {
        in_backlog.push(context.endpoint.connect(None, address).expect("a listener").await.expect("space"));
    }
    let program = compile(&runtime, "wasm32-wasip2", "tcp").await;
    let words = ["tcp", "client", "127.0.0.1:7", "hello"].map(String::from);
    let mut client = context.spawn(program, &words, Stdio::to_log(Log::new(), Clock::system()));
    let exit = tokio::time::timeout(Duration::from_millis(200), client.wait_for_exit()).await;
    assert!(exit.is_err(), "it does not wait: {exit:?}");
    (0..128).for_each(|_| drop(accepted(&listener)));
    std::future::poll_fn(|cx| listener.poll_acceptable(cx)).await;
    let mut server = ConnectionStream::from(accepted(&listener));
    let mut request = String::new();
    server.read_to_string(&mut request).await.expect("a request");
    assert_eq!(request, "hello");
    server.write_all(b"bye").await.expect("sent");
    drop(server);
    assert_eq!(exit_of(&mut client).await.code(), 0);
}
