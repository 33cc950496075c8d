// Keeps a cache of ConfigMaps with the informer of the JavaScript client of Kubernetes.
//
// The first argument names the namespace. At each new round that the ConfigMap `mark` names, prints the cache as one
// line, and the round; ends after the round `end`, with the number of lists.

import { createRequire } from "node:module";

// The client is installed elsewhere, in the directory that the second argument names.
const [namespace, modules] = process.argv.slice(2);
const k8s = createRequire(`${modules}/`)("@kubernetes/client-node");
const config = new k8s.KubeConfig();
config.loadFromDefault();
const api = config.makeApiClient(k8s.CoreV1Api);

let lists = 0;
function list() {
  lists += 1;
  return api.listNamespacedConfigMap({ namespace });
}

const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, list);

let reported;
function report() {
  const round = informer.get("mark", namespace)?.data.round;
  if (round === undefined || round === reported) return;
  reported = round;
  const cache = informer.list(namespace).map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`);
  console.log(`${cache.sort().join(", ")}\nround ${round}`);
  if (round === "end") {
    console.log(`lists: ${lists}`);
    process.exit(0);
  }
}

// While the informer takes over a list, its cache is incomplete.
informer.on("change", () => queueMicrotask(report));
// The informer stops at each error.
informer.on("error", () => setTimeout(() => informer.start(), 50));
await informer.start();
