"""Hosts on one machine: network, processes and name of their own, cables that can be cut, a raylet on each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import TracebackType

import namespaces
import psutil
from toy_runs import wait_until

SUBNET = "10.99.78"
GCS_PORT = 6379
BIN = Path(sys.executable).parent
#: A lost host is noticed within seconds instead of a minute; a busy test machine is still not taken for a dead one.
HEALTH = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "4000",
    "RAY_health_check_failure_threshold": "4",
}


def why_not() -> str | None:
    """Why there can be no such hosts here; None = there can."""
    return namespaces.why_not(("ip", "unshare", "nsenter", "setpriv"), "iproute2 and util-linux")


class Host:
    """One host; everything on it ends with its first process.

    Args:
        name: its host name.
        number: last part of its address.
        hosts: the file of names that all hosts share.
    """

    def __init__(self, name: str, number: int, hosts: Path) -> None:
        self.name, self.number = name, number
        self.ip = f"{SUBNET}.{number}"
        script = f"""
            hostname {name}
            mount --bind {hosts} /etc/hosts
            mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray && mount -t tmpfs tmpfs /dev/shm
            ip link set lo up
            exec sleep infinity
        """
        self._process = namespaces.start("sh", "-ec", script)
        wait_until(lambda: bool(self._sleepers()), 20)
        self.pid = self._sleepers()[0]
        self._namespace = _pid_namespace(self.pid)

    def _sleepers(self) -> list[int]:
        return [p.pid for p in psutil.Process(self._process.pid).children() if p.name() == "sleep"]

    def command(self, *words: str) -> list[str]:
        """A command as it is run on the host."""
        return namespaces.inside(self.pid, *words)

    def start(self, words: list[str], log: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Run a command on the host, and go on."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            return subprocess.Popen(
                self.command(*words), env={**os.environ, **environment}, stdout=stream, stderr=stream
            )

    def run(self, *words: str) -> str:
        """Run a command on the host and wait for its output."""
        return subprocess.run(self.command(*words), check=True, capture_output=True, text=True).stdout

    def processes(self, beginning: str = "") -> list[psutil.Process]:
        """Processes of the host whose command line begins so."""
        found = []
        for process in psutil.process_iter():
            try:
                own = _pid_namespace(process.pid) == self._namespace
                if own and " ".join(process.cmdline()).startswith(beginning):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def end(self) -> None:
        """The host is gone, with all its processes."""
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait()


def _pid_namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())


class Cluster:
    """A Ray cluster over hosts; the first is its head and where the driver runs, and has the switch.

    Args:
        root: an empty folder.
        cpus: of each host's raylet; None = a host without Ray, for services.
        environment: of everything on the hosts.
    """

    def __init__(self, root: Path, cpus: list[int | None], environment: dict[str, str]) -> None:
        self._root, self._cpus = root, cpus
        self.environment = {"RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", **HEALTH, **environment}
        root.mkdir(parents=True, exist_ok=True)
        self._names = root / "hosts"
        lines = [f"{SUBNET}.{number} host{number}" for number in range(1, len(cpus) + 1)]
        self._names.write_text("\n".join(["127.0.0.1 localhost", *lines]) + "\n")
        self.hosts: list[Host] = []
        self._raylets: dict[int, subprocess.Popen[bytes]] = {}
        try:
            for number in range(1, len(cpus) + 1):
                self._add(number)
            self.bring_up(*(number for number, one in enumerate(cpus, start=1) if one is not None))
        except BaseException:
            self.end()
            raise

    @property
    def address(self) -> str:
        """Of the cluster."""
        return f"{self.hosts[0].ip}:{GCS_PORT}"

    def _add(self, number: int) -> None:
        host = Host(f"host{number}", number, self._names)
        self.hosts[number - 1 : number] = [host]
        switch = self.hosts[0]
        if host is switch:
            namespaces.add_switch(host.pid, host.ip)
        else:
            namespaces.connect(host.pid, host.ip, switch.pid, f"port{number}")

    def host(self, number: int) -> Host:
        """By number, from 1."""
        return self.hosts[number - 1]

    def bring_up(self, *numbers: int) -> None:
        """Start Ray on hosts where it does not run, one after the other, and wait until they have joined."""
        for number in numbers:
            wait_until(partial(self._joined, number, []), 600, every_s=1.0)

    def _joined(self, number: int, starts: list[int]) -> bool:
        if number not in self._raylets or self._raylets[number].poll() is not None:
            starts.append(number)
            if len(starts) > 6:  # on a busy machine a start runs into time-outs of Ray's own
                raise AssertionError((self._root / f"ray{number}.log").read_text()[-3000:])
            self._start_raylet(number)
        return self.host(number).ip in self.alive()

    def _start_raylet(self, number: int) -> None:
        host, cpus = self.host(number), self._cpus[number - 1]
        words = [str(BIN / "ray"), "start", "--block", f"--num-cpus={cpus}", f"--node-ip-address={host.ip}"]
        words += ["--object-store-memory=100000000", "--disable-usage-stats"]
        if number == 1:
            words += ["--head", f"--port={GCS_PORT}", "--dashboard-host=127.0.0.1"]
        else:
            words += [f"--address={self.address}"]
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        self._raylets[number] = host.start(words, self._root / f"ray{number}.log", PATH=path, **self.environment)

    def alive(self) -> set[str]:
        """Addresses of the nodes that the head holds for alive."""
        code = "import sys, ray._raylet as r; nodes = r.GcsClient(address=sys.argv[1]).get_all_node_info().values(); "
        code += "print(*(n.node_manager_address for n in nodes if n.state == 0))"
        words = self.hosts[0].command("timeout", "30", sys.executable, "-c", code, self.address)
        settings = {**os.environ, **self.environment}
        done = subprocess.run(words, env=settings, capture_output=True, text=True, check=False)
        return set(done.stdout.split()) if done.returncode == 0 else set()

    def kill_raylet(self, number: int) -> None:
        """kill -9 of the raylet alone; its workers notice by themselves."""
        for process in self.host(number).processes():
            if process.name() == "raylet":
                process.kill()

    def cut(self, number: int) -> None:
        """Take the host off the network; its processes run on and see nothing."""
        self.host(number).run("ip", "link", "set", "eth0", "down")

    def replace(self, number: int) -> None:
        """A new host in the place of one that is gone, with a raylet."""
        self.host(number).end()
        subprocess.run(self.hosts[0].command("ip", "link", "delete", f"port{number}"), check=False, capture_output=True)
        self._add(number)
        self._raylets.pop(number).wait()
        self.bring_up(number)

    def end(self) -> None:
        """End every host."""
        for host in reversed(self.hosts):
            host.end()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
