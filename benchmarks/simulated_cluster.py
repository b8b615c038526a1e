"""Many raylets on one machine, for benchmarks of what drives them.

A node of Ray is a raylet and two agents, Python processes: one for the dashboard, of 80 MiB, and one that prepares
environments, of 50 MiB. Here all nodes but the head have a stand-in for the first that says it serves nothing, as in a
minimal installation of Ray, and sleeps. Scheduling, leases, placement and actors are the raylets' and untouched.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import psutil

#: What a raylet waits for is a file a port; -1 = there is none.
STAND_IN = """
import os, sys, time
options = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if "=" in word)
for port in ("dashboard_agent_listen_port", "metrics_agent_port", "metrics_export_port"):
    with open(f"{options['session-dir']}/{port}_{options['node-id']}", "w") as stream:
        stream.write("-1")
parent = os.getppid()
while os.getppid() == parent:
    time.sleep(1)
"""
STORE_BYTES = 80 << 20
#: Two cores take minutes to start the processes of a hundred trials: what a machine of its own does in seconds must not
#: be given up, begun anew and given up again. No process is started that may not be needed. Every raylet would take the
#: whole machine's memory for its own, and all of them would end trials at once to save it.
PATIENCE = {
    "RAY_worker_register_timeout_seconds": "900",
    "RAY_health_check_failure_threshold": "200",
    "RAY_enable_worker_prestart": "0",
    "RAY_memory_monitor_refresh_ms": "0",
}


@contextlib.contextmanager
def simulated_cluster(nodes: int, cpus: float) -> Iterator[str]:
    """A cluster of so many raylets, the head's among them; its address."""
    os.environ.update({"RAY_AUTH_MODE": "disabled", **PATIENCE})
    import ray._private.services
    from ray.cluster_utils import Cluster

    settings = {"num_cpus": cpus, "object_store_memory": STORE_BYTES}
    with socket.create_server(("127.0.0.1", 0)) as free:
        head = {**settings, "include_dashboard": False, "dashboard_port": free.getsockname()[1]}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "dashboard").mkdir()
            (Path(folder) / "dashboard" / "agent.py").write_text(STAND_IN)
            (Path(folder) / "_private").symlink_to(Path(ray._private.__file__).parent)
            with mock.patch.object(ray._private.services, "RAY_PATH", folder):  # where it looks for the agents
                for _ in range(nodes - 1):
                    cluster.add_node(**settings)
            yield cluster.address
    finally:
        cluster.shutdown()


def busy_processes() -> int:
    """Processes of actors that are there, of any cluster of this machine."""
    titles = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return sum(title.startswith("ray::") and "IDLE" not in title and "Agent" not in title for title in titles)
