"""Keeps a cache of ConfigMaps with the informer of the Python client of Kubernetes.

The first argument names the namespace. At each new round that the ConfigMap `mark` names, prints the cache as one line,
and the round; ends after the round `end`, with the number of lists.
"""

import functools
import logging
import sys
import threading
import time

from kubernetes import client, config
from kubernetes.informer import ADDED, ERROR, MODIFIED, SharedInformer

# The informer logs each connection that it loses.
logging.disable()
config.load_kube_config()
api = client.CoreV1Api()
lists, rounds, end = 0, [], threading.Event()


# The informer asks the function it is given for its signature.
@functools.wraps(api.list_namespaced_config_map)
def list_config_maps(**kwargs):
    global lists
    lists += "watch" not in kwargs
    return api.list_namespaced_config_map(**kwargs)


def report(config_map):
    if config_map.metadata.name != "mark" or config_map.data["round"] in rounds:
        return
    rounds.append(config_map.data["round"])
    cache = sorted((cached.metadata.name, cached.metadata.resource_version) for cached in informer.cache.list())
    print(f"{', '.join(f'{name} {version}' for name, version in cache)}\nround {rounds[-1]}", flush=True)
    if rounds[-1] == "end":
        end.set()


informer = SharedInformer(list_config_maps, namespace=sys.argv[1])
informer.add_event_handler(ADDED, report)
informer.add_event_handler(MODIFIED, report)
# It connects again at once: without a pause here, it would keep a processor busy while the server is away.
informer.add_event_handler(ERROR, lambda _: time.sleep(0.05))
informer.start()
end.wait()
print(f"lists: {lists}")
