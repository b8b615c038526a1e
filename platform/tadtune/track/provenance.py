"""Where a number comes from: code, data, versions, machine."""

from __future__ import annotations

import hashlib
import platform
import socket
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("tadtune", "torch", "ray", "optuna", "mlflow", "numpy", "pyarrow")


@cache
def code_digest(packages: tuple[str, ...]) -> str:
    """SHA-256 over the Python files of the named packages, by relative path and content."""
    state = hashlib.sha256()
    for package in packages:
        spec = find_spec(package)
        roots = list(spec.submodule_search_locations or []) if spec is not None else []
        for root in roots:
            for path in sorted(Path(root).rglob("*.py")):
                state.update(f"{package}/{path.relative_to(root).as_posix()}\n".encode())
                state.update(path.read_bytes())
    return state.hexdigest()


def provenance(trainable: str, data_digest: str, data_remarks: Sequence[str]) -> dict[str, Any]:
    """What to keep beside a trial's configuration.

    Args:
        trainable: dotted module of the trainable; its top-level package is hashed with the engine.
        data_digest: hash of the data set.
        data_remarks: what a report has to say about it.
    """
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "code": code_digest(("tadtune", trainable.split(".", 1)[0])),
        "data": data_digest,
        "data_remarks": list(data_remarks),
        "versions": versions,
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "machine": platform.machine(),
    }
