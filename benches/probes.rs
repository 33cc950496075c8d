//! A thousand pods with a probe every ten seconds.

use std::time::{Duration, Instant};

use super::density::{cpu, in_batches};
use super::figures::Figure;
use super::pods::on_node;

const PODS: usize = 1000;

/// Returns the spec of a web server with this probe.
fn probed(probe: &str) -> String {
    format!("containers: [{{name: c, image: nginx, livenessProbe: {{periodSeconds: 10, {probe}}}}}]")
}

/// Returns the processor time that probing takes, in percent of one processor.
fn percent(probe: &str) -> f64 {
    let spec = probed(probe);
    on_node(async |bench| {
        in_batches(bench, "p", PODS, &spec).await;
        // Every pod is probed at least once before the measurement.
        tokio::time::sleep(Duration::from_secs(11)).await;
        let (start, used) = (Instant::now(), cpu());
        tokio::time::sleep(Duration::from_secs(20)).await;
        (cpu() - used).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0
    })
}

/// Measures probes by connections, which guests accept.
pub fn figures() -> Vec<Figure> {
    let connections = percent("tcpSocket: {port: 80}");
    vec![Figure::new("probes_1000_cpu", connections, "%").at_most(1.0)]
}

/// Measures probes by requests, which guests answer.
pub fn http() -> Vec<Figure> {
    vec![Figure::new("http_probes_1000_cpu", percent("httpGet: {port: 80, path: /}"), "%")]
}
