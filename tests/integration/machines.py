"""Machines made of Linux namespaces, each with its own network, processes, folders of the system and sshd."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

import namespaces
import psutil

SUBNET = "10.99.77"
PROGRAMS = ("ip", "sshd", "ssh", "rsync", "unshare", "nsenter", "setpriv", "ps", "curl")
PACKAGES = "iproute2, openssh-server, openssh-client, rsync, procps, curl and util-linux"


def why_not() -> str | None:
    """Why there can be no such machines here; None = there can."""
    return namespaces.why_not(PROGRAMS, PACKAGES)


class Machine:
    """One machine.

    Args:
        name: its host name.
        number: last part of its address.
        root: folder for its things, seen by all machines alike.
        path: of its login shell.
        environment: of its login shell, beside the path.
    """

    def __init__(self, name: str, number: int, root: Path, path: str, environment: dict[str, str]) -> None:
        self.name = name
        self.ip = f"{SUBNET}.{number}"
        self.home = root / name
        self.home.mkdir(parents=True)
        exports = "".join(f"export {key}='{value}'\n" for key, value in {"PATH": path, **environment}.items())
        (self.home / ".bash_profile").write_text(exports)
        (self.home / ".bashrc").touch()
        # root with a home of its own: what a machine writes there is not the real root's and not another machine's
        (self.home / "passwd").write_text(
            Path("/etc/passwd").read_text().replace("root:x:0:0:root:/root:", f"root:x:0:0:root:{self.home}:")
        )
        script = f"""
            hostname {name}
            mount --bind {self.home}/passwd /etc/passwd
            mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray
            mount -t tmpfs tmpfs /dev/shm && mount -t tmpfs tmpfs /run && mkdir /run/sshd
            ip link set lo up
            touch {self.home}/up
            while true; do sleep 1; done
        """
        # bash as the first process takes leave of the dead whose parents are gone
        self._process = namespaces.start("bash", "-ec", script)
        self.pid = self._first_process()

    def _first_process(self) -> int:
        deadline = time.monotonic() + 60
        while not (self.home / "up").exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"machine {self.name} did not start")
            time.sleep(0.02)
        (child,) = psutil.Process(self._process.pid).children()
        return child.pid

    def command(self, *words: str) -> list[str]:
        """A command as it is run on the machine."""
        return namespaces.inside(self.pid, *words)

    def run(self, *words: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine, as its root."""
        settings = {**os.environ, "HOME": str(self.home), **environment}
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            # files, not pipes: an ssh connection that is kept for the next command would hold a pipe open
            code = subprocess.run(
                self.command(*words), env=settings, stdout=output, stderr=errors, check=False
            ).returncode
            output.seek(0)
            errors.seek(0)
            result = subprocess.CompletedProcess(list(words), code, output.read(), errors.read())
        if check and result.returncode:
            raise AssertionError(f"{words} on {self.name}: {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result

    def processes(self) -> list[str]:
        """Command lines of what runs on the machine."""
        return self.run("ps", "-eo", "args=").stdout.splitlines()

    def end(self) -> None:
        """End everything on the machine; its namespaces go with its first process."""
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait()


class Machines:
    """Machines on one network, that accept each other's key; the first is where a person sits.

    Args:
        root: an empty folder.
        names: of the machines.
        path: of their login shells.
        environment: of their login shells, beside the path.
    """

    def __init__(self, root: Path, names: list[str], path: str, environment: dict[str, str]) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.key = root / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.machines: list[Machine] = []
        try:
            for number, name in enumerate(names, start=1):
                self.machines.append(Machine(name, number, root, path, environment))
            self._connect()
            for machine in self.machines[1:]:
                self._serve_ssh(machine)
        except BaseException:
            self.end()
            raise

    def _connect(self) -> None:
        """A bridge on the first machine, a cable from every other one to it."""
        switch = self.machines[0]
        namespaces.add_switch(switch.pid, switch.ip)
        for number, machine in enumerate(self.machines[1:]):
            namespaces.connect(machine.pid, machine.ip, switch.pid, f"port{number}")

    def _serve_ssh(self, machine: Machine) -> None:
        host_key = machine.home / "host_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key], check=True)
        settings = {
            "ListenAddress": machine.ip,
            "HostKey": host_key,
            "AuthorizedKeysFile": f"{self.key}.pub",
            "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no",
            "StrictModes": "no",
            "UsePAM": "no",
            "PidFile": "none",
        }
        config = machine.home / "sshd_config"
        config.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        machine.run(shutil.which("sshd") or "sshd", "-f", str(config), "-E", str(machine.home / "sshd.log"))

    def end(self) -> None:
        for machine in self.machines:
            machine.end()

    def __enter__(self) -> Machines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
