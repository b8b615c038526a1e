"""MLflow on PostgreSQL on a host of their own, each of which can be killed and started again."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from hosts import Host
from toy_runs import wait_until

PORT, DATABASE_PORT = 5000, 5432


def programs() -> Path | None:
    """Folder of PostgreSQL's programs: on the path, or where Debian keeps them."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda p: int(p.parent.name))


class Services:
    """Both servers, started.

    Args:
        host: where they run.
        root: folder of their data.
    """

    def __init__(self, host: Host, root: Path) -> None:
        self._host, self._root = host, root
        found = programs()
        assert found is not None, "needs PostgreSQL's programs (package postgresql)"
        self._programs = found
        self.uri = f"http://{host.ip}:{PORT}"
        root.mkdir(parents=True)
        self._owner = pwd.getpwnam("nobody")  # PostgreSQL refuses to run as root
        self._data = root / "postgres"
        self._data.mkdir()
        os.chown(self._data, self._owner.pw_uid, self._owner.pw_gid)
        for folder in (root, *root.parents):
            if folder.stat().st_uid == os.getuid() and folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o011)
        self._as_owner("initdb", "-D", str(self._data), "-A", "trust", "-U", "mlflow", "--no-sync")
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")
        self.start_postgres()
        self._as_owner("createdb", "-h", host.ip, "-U", "mlflow", "runs")
        self.start_mlflow()

    def _command(self, *words: str) -> list[str]:
        user = ["setpriv", f"--reuid={self._owner.pw_uid}", f"--regid={self._owner.pw_gid}", "--clear-groups"]
        return [*user, str(self._programs / words[0]), *words[1:]]

    def _as_owner(self, *words: str) -> None:
        self._host.run(*self._command(*words))

    def start_postgres(self) -> None:
        """Start PostgreSQL and wait until it answers."""
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        options = ["-D", str(self._data), "-h", self._host.ip, "-p", str(DATABASE_PORT), "-k", str(self._data)]
        self._host.start(self._command("postgres", *options), self._root / "postgres.log")
        ready = self._host.command(str(self._programs / "pg_isready"), "-h", self._host.ip)
        wait_until(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, 120, every_s=0.5)

    def start_mlflow(self) -> None:
        """Start the MLflow server and wait until it answers."""
        options = {
            "--backend-store-uri": f"postgresql+psycopg://mlflow@{self._host.ip}:{DATABASE_PORT}/runs",
            "--artifacts-destination": (self._root / "artifacts").resolve().as_uri(),
            "--host": self._host.ip,
            "--port": str(PORT),
            "--workers": "1",
            "--allowed-hosts": f"{self._host.ip},{self._host.ip}:{PORT}",
        }
        words = [sys.executable, "-m", "mlflow", "server", *(word for pair in options.items() for word in pair)]
        self._host.start(words, self._root / "mlflow.log", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
        page = f"import urllib.request as u; u.urlopen('{self.uri}/health', timeout=5)"
        ask = self._host.command(sys.executable, "-c", page)
        wait_until(lambda: subprocess.run(ask, capture_output=True, check=False).returncode == 0, 240, every_s=1.0)

    def runs(self, experiment: str) -> list[list[str]]:
        """Kind, trial and status of every run of an experiment, asked on the host itself."""
        code = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
runs = client.search_runs([client.get_experiment_by_name(sys.argv[2]).experiment_id], max_results=1000)
tags = [(r.data.tags["tadtune.kind"], r.data.tags.get("tadtune.trial_id", ""), r.info.status) for r in runs]
print(json.dumps(tags))
"""
        found: list[list[str]] = json.loads(self._host.run(sys.executable, "-c", code, self.uri, experiment))
        return found

    def kill_mlflow(self) -> None:
        """kill -9 of the server and its workers."""
        self._kill(sys.executable)

    def kill_postgres(self) -> None:
        """kill -9 of PostgreSQL, all its processes."""
        self._kill(str(self._programs / "postgres"))
        self._kill("postgres:")

    def _kill(self, beginning: str) -> None:
        for process in self._host.processes(beginning):
            process.kill()
