"""Many raylets on one machine, for benchmarks of what drives them.

A node of Ray is a raylet and two agents, Python processes of 80 and 50 MiB: with them fifty nodes would take 7 GiB
before the first trial. Here all nodes but the head have stand-ins that say they serve nothing, as a minimal
installation of Ray does, and sleep. Scheduling, leases, placement and actors are the raylets' and untouched.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

#: What a raylet waits for is a file a port; -1 = there is none.
STAND_IN = """
import os, sys, time
options = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if "=" in word)
for port in ("dashboard_agent_listen_port", "metrics_agent_port", "metrics_export_port", "runtime_env_agent_port"):
    with open(f"{options['session-dir']}/{port}_{options['node-id']}", "w") as stream:
        stream.write("-1")
parent = os.getppid()
while os.getppid() == parent:
    time.sleep(1)
"""
STORE_BYTES = 80 << 20


@contextlib.contextmanager
def simulated_cluster(nodes: int, cpus: float) -> Iterator[str]:
    """A cluster of so many raylets, the head's among them; its address."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray._private.services
    from ray.cluster_utils import Cluster

    settings = {"num_cpus": cpus, "object_store_memory": STORE_BYTES}
    with socket.create_server(("127.0.0.1", 0)) as free:
        head = {**settings, "include_dashboard": False, "dashboard_port": free.getsockname()[1]}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name in ("dashboard/agent.py", "_private/runtime_env/agent/main.py"):
                (Path(folder) / name).parent.mkdir(parents=True)
                (Path(folder) / name).write_text(STAND_IN)
            with mock.patch.object(ray._private.services, "RAY_PATH", folder):  # where it looks for the agents
                for _ in range(nodes - 1):
                    cluster.add_node(**settings)
            yield cluster.address
    finally:
        cluster.shutdown()
