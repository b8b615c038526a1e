"""An MLflow server for one machine: loopback only, one process instead of fifteen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tadtune.track.mlflow_store import default_uri


def server_command(storage: Path, port: int) -> list[str]:
    """Command line of the server on a storage folder's runs."""
    options = {
        "--backend-store-uri": default_uri(storage),
        "--artifacts-destination": (storage / "mlartifacts").resolve().as_uri(),
        "--host": "127.0.0.1",
        "--port": str(port),
        "--workers": "1",
    }
    return [sys.executable, "-m", "mlflow", "server", *(word for pair in options.items() for word in pair)]


def server_environment() -> dict[str, str]:
    """Environment of the server: without the job workers nobody uses here."""
    return {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def serve(storage: Path, port: int) -> int:
    """Run the server until it is stopped; its exit code."""
    storage.mkdir(parents=True, exist_ok=True)
    try:
        return subprocess.call(server_command(storage, port), env=server_environment())
    except KeyboardInterrupt:
        return 0
