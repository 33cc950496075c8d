//! The command `wasmpod validate`.

use std::process::{Command, Stdio};
use std::time::Instant;

use super::figures::{Figure, percentile};
use super::native::{millis, run_true};
use super::start::program;

const PODS: usize = 1000;

pub fn figures() -> Vec<Figure> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("pods.yaml");
    std::fs::write(&file, manifest()).expect("a manifest");
    let mut times: Vec<f64> = (0..20)
        .map(|_| {
            let start = Instant::now();
            let status = Command::new(program()).arg("validate").arg(&file).stdout(Stdio::null()).status();
            assert!(status.expect("wasmpod runs").success());
            millis(start.elapsed())
        })
        .collect();
    let native = run_true();
    vec![Figure::new("validate_1000_pods_ms", percentile(&mut times, 0.5), "ms").at_most(150.0).beside(native)]
}

/// Returns a manifest of typical pods: two containers, a volume, variables, limits.
fn manifest() -> String {
    let mut text = String::new();
    for i in 0..PODS {
        text += &format!(
            r#"---
apiVersion: v1
kind: Pod
metadata:
  name: web-{i}
  namespace: default
  labels:
    app: web
    tier: "{i}"
spec:
  restartPolicy: Always
  volumes:
  - name: data
    emptyDir: {{}}
  initContainers:
  - name: prepare
    image: busybox:1.36
    command: [sh, -c, "echo {i} > /data/index.html"]
    volumeMounts:
    - name: data
      mountPath: /data
  containers:
  - name: web
    image: nginx:1.27
    ports:
    - name: http
      containerPort: 80
    env:
    - name: NUMBER
      value: "{i}"
    - name: POD_IP
      valueFrom:
        fieldRef:
          fieldPath: status.podIP
    resources:
      requests:
        cpu: 10m
        memory: 16Mi
      limits:
        memory: 64Mi
    volumeMounts:
    - name: data
      mountPath: /usr/share/nginx/html
      readOnly: true
"#
        );
    }
    text
}
