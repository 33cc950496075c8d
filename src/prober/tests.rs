//! Attempts against small servers inside a pod's network.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::*;
use crate::clock::Clock;
use crate::network::{Accepted, ConnectionStream, Endpoint, Listener};

const IP: &str = "10.88.0.2";

/// A pod's network, and the servers in it.
struct Pod {
    endpoint: Arc<Endpoint>,
    servers: JoinSet<()>,
}

impl Pod {
    fn new() -> Pod {
        let network = PodNetwork::new(IP.parse().expect("an address"));
        Pod { endpoint: Endpoint::new(network), servers: JoinSet::new() }
    }

    fn listen(&self, address: &str) -> Listener {
        let address: SocketAddr = address.parse().expect("an address");
        self.endpoint.listen(address, 8).expect("free")
    }

    /// Passes each connection to `port` to `answer`.
    fn serve<F: Future<Output = ()> + Send>(
        &mut self,
        port: u16,
        answer: impl Fn(ConnectionStream) -> F + Send + Sync + 'static,
    ) {
        let listener = self.listen(&format!("0.0.0.0:{port}"));
        self.servers.spawn(async move {
            loop {
                poll_fn(|cx| listener.poll_acceptable(cx)).await;
                if let Accepted::Connection(connection) = listener.accept() {
                    answer((*connection).into()).await;
                }
            }
        });
    }

    /// Answers requests to `port`, given their first line and headers.
    fn answer(&mut self, port: u16, answer: impl Fn(&str) -> String + Send + Sync + Clone + 'static) {
        self.serve(port, move |mut stream| {
            let answer = answer.clone();
            async move {
                let request = request(&mut stream).await;
                stream.write_all(answer(&request).as_bytes()).await.expect("written");
            }
        });
    }

    /// Sends one probe request with a timeout of a second.
    async fn check(&self, probe: Value) -> CheckResult {
        let probe = serde_json::from_value(probe).expect("a probe");
        let check = Check::from_probe(&probe, &Default::default(), IP).expect("a network check").expect("valid");
        run_check(self.endpoint.network(), &check, Duration::from_secs(1), Clock::system()).await
    }

    async fn get(&self, port: u16, path: &str) -> CheckResult {
        self.check(json!({"httpGet": {"port": port, "path": path}})).await
    }
}

async fn request(stream: &mut ConnectionStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await.expect("a whole request"));
    }
    String::from_utf8(read).expect("text")
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn failure(text: &str) -> CheckResult {
    CheckResult::Failure(text.into())
}

#[tokio::test(start_paused = true)]
async fn http_probe_result_follows_the_status_code() {
    let mut pod = Pod::new();
    pod.answer(8080, |request| {
        let code = request.split(['/', ' ']).nth(2).unwrap_or_default();
        format!("HTTP/1.1 {code} Any\r\nContent-Length: 4\r\n\r\nbody")
    });
    let redirected = || CheckResult::Warning("Probe terminated redirects, Response body: body".into());
    for (code, result) in [
        (200, CheckResult::Success("body".into())),
        (299, CheckResult::Success("body".into())),
        (300, redirected()),
        (302, redirected()),
        (399, redirected()),
        (400, failure("HTTP probe failed with statuscode: 400")),
        (404, failure("HTTP probe failed with statuscode: 404")),
        (500, failure("HTTP probe failed with statuscode: 500")),
    ] {
        assert_eq!(pod.get(8080, &format!("/{code}")).await, result, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_kubelets() {
    let mut pod = Pod::new();
    pod.answer(8080, ok);
    let CheckResult::Success(plain) = pod.get(8080, "/a?b").await else { panic!("an answer") };
    let expected = "GET /a?b HTTP/1.1\r\nHost: 10.88.0.2:8080\r\nAccept: */*\r\nUser-Agent: kube-probe/1.36\r\n\
                  Connection: close\r\n\r\n";
    assert_eq!(plain, expected);
    let headers = json!([{"name": "Host", "value": "a.example"}, {"name": "X-Y", "value": "z"}]);
    let CheckResult::Success(own) = pod.check(json!({"httpGet": {"port": 8080, "httpHeaders": headers}})).await else {
        panic!("an answer");
    };
    assert!(own.starts_with("GET / HTTP/1.1\r\nHost: a.example\r\nX-Y: z\r\n"), "{own}");
}

#[tokio::test(start_paused = true)]
async fn at_most_ten_kibibytes_of_a_body_are_read() {
    let mut pod = Pod::new();
    pod.answer(8080, |_| ok(&"x".repeat(100_000)));
    assert_eq!(pod.get(8080, "/").await, CheckResult::Success("x".repeat(10 * 1024)));
}

#[tokio::test(start_paused = true)]
async fn redirects_are_followed_on_the_same_host() {
    let mut pod = Pod::new();
    let to = |location: &str| format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 3\r\n\r\nout");
    pod.answer(8080, move |request| match request.split(' ').nth(1).unwrap_or_default() {
        "/port" => to("http://10.88.0.2:9090/there"),
        "/relative" => to("loop/../there"),
        "/away" => to("http://example.com/"),
        "/loop" => to("/loop"),
        path => ok(path),
    });
    pod.answer(9090, |_| ok("another port"));
    for (path, result) in [
        ("/port", CheckResult::Success("another port".into())),
        ("/relative", CheckResult::Success("/there".into())),
        ("/away", CheckResult::Warning("Probe terminated redirects, Response body: out".into())),
        ("/loop", failure("Get \"/loop\": stopped after 10 redirects")),
    ] {
        assert_eq!(pod.get(8080, path).await, result, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn unanswered_requests_fail_in_gos_words() {
    let mut pod = Pod::new();
    let _loopback = pod.listen("127.0.0.1:81");
    pod.serve(82, |stream| async move {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        drop(stream);
    });
    pod.serve(83, |mut stream| async move {
        request(&mut stream).await;
    });
    pod.answer(84, |_| "this is not HTTP\r\n\r\n".into());
    pod.serve(85, |mut stream| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n12").await.expect("written");
        tokio::time::sleep(Duration::from_secs(3600)).await;
    });
    pod.serve(86, |mut stream| async move {
        // The server sends before it has a request, and in pieces.
        stream.write_all(b"garb").await.expect("written");
        request(&mut stream).await;
        stream.write_all(b"age\r\n").await.expect("written");
    });
    pod.answer(87, |_| "HTTP/1.1 200 OK\r\nA: b\r\n".into());
    let broken = "net/http: HTTP/1.x transport connection broken";
    let late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    let reading = "context deadline exceeded (Client.Timeout or context cancellation while reading body)";
    for (get, result) in [
        (
            json!({"port": 80}),
            failure("Get \"http://10.88.0.2:80/\": dial tcp 10.88.0.2:80: connect: connection refused"),
        ),
        (
            json!({"port": 81, "path": "/only-loopback"}),
            failure("Get \"http://10.88.0.2:81/only-loopback\": dial tcp 10.88.0.2:81: connect: connection refused"),
        ),
        (
            json!({"port": 81, "host": "127.0.0.1"}),
            failure("Get \"http://127.0.0.1:81/\": dial tcp 127.0.0.1:81: connect: connection refused"),
        ),
        (
            json!({"port": 80, "host": "1.1.1.1"}),
            failure("Get \"http://1.1.1.1:80/\": dial tcp 1.1.1.1:80: connect: network is unreachable"),
        ),
        (
            json!({"port": 80, "host": "example.com"}),
            failure("Get \"http://example.com:80/\": dial tcp: lookup example.com: no such host"),
        ),
        (json!({"port": 82}), failure(&format!("Get \"http://10.88.0.2:82/\": {late}"))),
        (json!({"port": 82, "scheme": "HTTPS"}), failure(&format!("Get \"https://10.88.0.2:82/\": {late}"))),
        (json!({"port": 83}), failure("Get \"http://10.88.0.2:83/\": EOF")),
        (
            json!({"port": 84}),
            failure(&format!("Get \"http://10.88.0.2:84/\": {broken}: malformed HTTP status code \"is\"")),
        ),
        (json!({"port": 85}), CheckResult::Error(reading.into())),
        (
            json!({"port": 86}),
            failure(&format!("Get \"http://10.88.0.2:86/\": {broken}: malformed HTTP response \"garbage\"")),
        ),
        (json!({"port": 87}), failure(&format!("Get \"http://10.88.0.2:87/\": {broken}: unexpected EOF"))),
    ] {
        let printed = format!("{get}");
        assert_eq!(pod.check(json!({"httpGet": get})).await, result, "{printed}");
    }
}

#[tokio::test(start_paused = true)]
async fn tcp_probe_succeeds_when_the_port_accepts() {
    let pod = Pod::new();
    let _open = pod.listen("0.0.0.0:80");
    for (probe, result) in [
        (json!({"port": 80}), CheckResult::Success(String::new())),
        (json!({"port": 81}), failure("dial tcp 10.88.0.2:81: connect: connection refused")),
        (json!({"port": 80, "host": "1.1.1.1"}), failure("dial tcp 1.1.1.1:80: connect: network is unreachable")),
    ] {
        let printed = format!("{probe}");
        assert_eq!(pod.check(json!({"tcpSocket": probe})).await, result, "{printed}");
    }
}

mod hooks {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hooks_accept_any_response_and_fall_back_from_https() {
        let mut pod = Pod::new();
        pod.answer(8080, |request| {
            assert!(request.contains("User-Agent: kube-lifecycle/1.36\r\n"), "{request}");
            "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".into()
        });
        pod.serve(8081, |mut stream| async move {
            let mut answer = "HTTP/1.1 400 Bad Request\r\n\r\n".to_string();
            if stream.read_u8().await.expect("a byte") == b'G' {
                let request = request(&mut stream).await;
                assert!(!request.contains("Authorization"), "{request}");
                answer = ok("plain");
            }
            stream.write_all(answer.as_bytes()).await.expect("written");
        });
        pod.serve(8082, |mut stream| async move {
            if stream.read_u8().await.expect("a byte") != b'G' {
                stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await.expect("written");
            }
        });
        pod.answer(8083, |_| "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n12".into());
        let fallback = "got HTTP response, retry with HTTP succeeded";
        for (get, result) in [
            (json!({"port": 8080}), CheckResult::Success(String::new())),
            (json!({"port": 8083}), CheckResult::Success(String::new())),
            (
                json!({"port": 8081, "scheme": "HTTPS", "httpHeaders": [{"name": "Authorization", "value": "a"}]}),
                CheckResult::Warning(format!("request to HTTPS lifecycle hook 10.88.0.2:8081 {fallback}")),
            ),
            // If the fallback fails too, the first error is reported.
            (
                json!({"port": 8082, "scheme": "HTTPS"}),
                failure("Get \"https://10.88.0.2:8082/\": http: server gave HTTP response to HTTPS client"),
            ),
            (
                json!({"port": 80}),
                failure("Get \"http://10.88.0.2:80/\": dial tcp 10.88.0.2:80: connect: connection refused"),
            ),
        ] {
            let hook = serde_json::from_value(json!({"httpGet": get})).expect("a hook");
            let check = Check::from_hook(&hook, &Default::default(), IP).expect("a network check").expect("valid");
            let actual = run_check(pod.endpoint.network(), &check, Duration::from_secs(1), Clock::system()).await;
            assert_eq!(actual, result, "{hook:?}");
        }
    }
}

mod https {
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;

    use super::*;

    fn acceptor() -> TlsAcceptor {
        let made = rcgen::generate_simple_self_signed(["elsewhere.example".into()]).expect("a certificate");
        let key = made.signing_key.serialize_der().try_into().expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a pair");
        TlsAcceptor::from(Arc::new(config))
    }

    #[tokio::test(start_paused = true)]
    async fn certificates_are_not_verified() {
        let mut pod = Pod::new();
        let acceptor = acceptor();
        pod.serve(8443, move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await.expect("TLS");
                let mut read = Vec::new();
                while !read.ends_with(b"\r\n\r\n") {
                    read.push(stream.read_u8().await.expect("a whole request"));
                }
                stream.write_all(ok("secret").as_bytes()).await.expect("written");
                stream.shutdown().await.expect("closed");
            }
        });
        pod.answer(8080, |_| ok("plain"));
        let get = |port| json!({"httpGet": {"port": port, "scheme": "HTTPS", "path": "/s"}});
        assert_eq!(pod.check(get(8443)).await, CheckResult::Success("secret".into()));
        pod.serve(8444, |mut stream| async move {
            stream.read_u8().await.expect("a byte");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
        });
        let expected = failure("Get \"https://10.88.0.2:8444/s\": http: server gave HTTP response to HTTPS client");
        assert_eq!(pod.check(get(8444)).await, expected);
        pod.serve(8445, |mut stream| async move {
            stream.write_all(b"220 mail.example ESMTP\r\n").await.expect("written");
            stream.read_u8().await.expect("a byte");
        });
        let expected = "Get \"https://10.88.0.2:8445/s\": tls: first record does not look like a TLS handshake";
        assert_eq!(pod.check(get(8445)).await, failure(expected));
    }
}

mod grpc {
    use bytes::Bytes;
    use http_body_util::{BodyExt, StreamBody};
    use hyper::body::{Frame, Incoming};
    use hyper::service::service_fn;
    use hyper::{HeaderMap, Request, Response};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    use super::*;

    type Frames = StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, hyper::Error>>>>;

    /// Serves the health protocol; the requested service's name selects the answer.
    async fn health(request: Request<Incoming>) -> Result<Response<Frames>, hyper::Error> {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        assert_eq!(request.headers()["user-agent"], "kube-probe/1.36");
        let body = request.into_body().collect().await?.to_bytes();
        // A frame's five bytes, then the field's number and length.
        let service = String::from_utf8_lossy(body.get(7..).unwrap_or_default()).into_owned();
        let (status, code) = match service.as_str() {
            "" => (Some(1), "0"),
            "sick" => (Some(2), "0"),
            "unimplemented" => (None, "12"),
            "slow" => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                (None, "0")
            }
            _ => (None, "5"),
        };
        let mut frames: Vec<_> =
            status.map(|status| Ok(Frame::data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status])))).into_iter().collect();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.parse().expect("a value"));
        trailers.insert("grpc-message", "details".parse().expect("a value"));
        frames.push(Ok(Frame::trailers(trailers)));
        let body = StreamBody::new(futures_util::stream::iter(frames));
        Ok(Response::builder().header("content-type", "application/grpc").body(body).expect("an answer"))
    }

    #[tokio::test(start_paused = true)]
    async fn grpc_probe_result_follows_the_health_service() {
        let mut pod = Pod::new();
        pod.serve(50051, |stream| async move {
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // The client closes the connection as soon as it has its answer.
            let _ = connection.serve_connection(TokioIo::new(stream), service_fn(health)).await;
        });
        pod.answer(8080, |_| "HTTP/1.1 400 Bad Request\r\n\r\n".into());
        let unimplemented =
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): details";
        let unreached = |port| {
            let expected = "within 1s: context deadline exceeded";
            failure(&format!("timeout: failed to connect service \"10.88.0.2:{port}\" {expected}"))
        };
        for (port, service, result) in [
            (50051, "", CheckResult::Success("service healthy".into())),
            (50051, "sick", failure("service unhealthy (responded with \"NOT_SERVING\")")),
            (50051, "unimplemented", failure(unimplemented)),
            (50051, "unknown", failure("error: health rpc probe failed: rpc error: code = NotFound desc = details")),
            (50051, "slow", failure("timeout: health rpc did not complete within 1s")),
            (50052, "", unreached(50052)),
            (8080, "", unreached(8080)),
        ] {
            let probe = json!({"grpc": {"port": port, "service": service}});
            assert_eq!(pod.check(probe).await, result, "{port} {service:?}");
        }
    }
}
