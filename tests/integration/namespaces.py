"""Hosts made of Linux namespaces: each has a network, processes and a name of its own."""

from __future__ import annotations

import os
import shutil
import subprocess

_NAMESPACES = ("--net", "--pid", "--mount", "--uts")


def why_not(programs: tuple[str, ...], packages: str) -> str | None:
    """Why there can be no such hosts here; None = there can.

    Args:
        programs: that they need.
        packages: that have them.
    """
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}; the packages {packages} have them"
    if os.geteuid() != 0:
        return "needs root for namespaces"
    probe = subprocess.run(["unshare", *_NAMESPACES, "--fork", "true"], capture_output=True, text=True, check=False)
    return f"needs namespaces: {probe.stderr.strip()}" if probe.returncode else None


def start(*shell: str) -> subprocess.Popen[bytes]:
    """The first process of a new host; everything on it ends with it, and with the process of the tests."""
    words = ["setpriv", "--pdeathsig", "KILL", "unshare", *_NAMESPACES, "--fork", "--kill-child", "--mount-proc"]
    return subprocess.Popen([*words, *shell], stderr=subprocess.DEVNULL)


def inside(pid: int, *words: str) -> list[str]:
    """A command as it is run on the host whose first process is ``pid``."""
    return ["nsenter", "--target", str(pid), "--all", "--wdns=/", *words]


def add_switch(pid: int, address: str) -> None:
    """A bridge on a host, which the other hosts' cables lead to."""
    _ip(pid, "link", "add", "bridge", "type", "bridge")
    _ip(pid, "address", "add", f"{address}/24", "dev", "bridge")
    _ip(pid, "link", "set", "bridge", "up")


def connect(pid: int, address: str, switch: int, port: str) -> None:
    """A cable from a host to the bridge.

    Args:
        pid: first process of the host.
        address: of the host.
        switch: first process of the host with the bridge.
        port: name of the cable's end there.
    """
    there, here = f"/proc/{switch}/ns/net", f"/proc/{pid}/ns/net"
    cable = ["ip", "link", "add", port, "netns", there, "type", "veth", "peer", "name", "eth0", "netns", here]
    subprocess.run(cable, check=True)
    _ip(switch, "link", "set", port, "master", "bridge", "up")
    _ip(pid, "address", "add", f"{address}/24", "dev", "eth0")
    _ip(pid, "link", "set", "eth0", "up")


def _ip(pid: int, *words: str) -> None:
    subprocess.run(inside(pid, "ip", *words), check=True, capture_output=True)
