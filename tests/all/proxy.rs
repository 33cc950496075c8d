//! Pages of pods through the API's `proxy`, in a browser.

use serde_json::json;

use crate::support::{SecurityPolicy, chromium, pod, serve_node};

/// A page whose script tries to read the pods of the API that serves it. It waits for the response, so that the outcome
/// is known once the page is loaded.
const PAGE: &str = r#"<!DOCTYPE html><title>guest</title><h1>A page</h1><p id="outcome">no script ran</p><script>
    const outcome = document.getElementById("outcome");
    outcome.textContent = "could not read";
    const request = new XMLHttpRequest();
    request.open("GET", "/api/v1/namespaces/default/pods", false);
    request.send();
    outcome.textContent = JSON.parse(request.responseText).kind;
</script>"#;

#[test]
fn scripts_of_proxied_pages_cannot_read_the_api() {
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page"}, "data": {"index.html": PAGE}});
    let web = pod(
        "web",
        "volumes: [{name: page, configMap: {name: page}}], containers: [{name: c, image: nginx,
           readinessProbe: {httpGet: {port: 80}, periodSeconds: 1},
           volumeMounts: [{name: page, mountPath: /usr/share/nginx/html}]}]",
    );
    let node = serve_node();
    node.kubectl("apply -f -").stdin(map.to_string()).output().expect_code(0);
    node.kubectl("apply -f -").stdin(web).output().expect_code(0);
    node.wait("web", "condition=Ready");
    let proxy = node.kubectl("proxy --port 0").start();
    proxy.wait_for("Starting to serve on ");
    proxy.wait_for("\n");
    let printed = proxy.stdout();
    let address = printed.trim().rsplit(' ').next().expect("an address");
    let url = format!("http://{address}/api/v1/namespaces/default/pods/web:80/proxy/");
    for (policy, outcome) in [
        (SecurityPolicy::Obeyed, "no script ran"),
        // The script would succeed without the policy.
        (SecurityPolicy::Removed, "PodList"),
    ] {
        let shown = json!({"status": 200, "title": "guest", "heading": "A page", "outcome": outcome});
        assert_eq!(chromium(&url, &policy), shown);
    }
}
