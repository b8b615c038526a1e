"""An MLflow server: on loopback without an account, elsewhere never without; one process instead of fifteen."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tadtune.spec.errors import StudyError
from tadtune.track.files import write_text
from tadtune.track.mlflow_tracking.check import tracking_problem, without_password
from tadtune.track.mlflow_tracking.database import prepare_database
from tadtune.track.mlflow_tracking.runs import default_uri

#: Without these MLflow's authentication does not start.
SECRETS = ("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY")
#: Seconds a server may take to answer.
START_S = 120.0
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Server:
    """How a server is run.

    Attributes:
        storage: folder of all studies; artifacts and, unless told otherwise, the data base lie there.
        port: to listen on.
        host: address to bind; loopback needs no account.
        backend: address of the data base, None = an SQLite file in ``storage``.
        names: further host names that clients and browsers may call the server by.
    """

    storage: Path
    port: int = 5000
    host: str = "127.0.0.1"
    backend: str | None = None
    names: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """Where this machine reaches it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def database(self) -> str:
        """Address of the data base."""
        return self.backend or default_uri(self.storage)

    @property
    def is_open(self) -> bool:
        """Whether others than this machine reach it, so that it needs accounts."""
        with contextlib.suppress(ValueError):
            return not ipaddress.ip_address(self.host).is_loopback
        return self.host != "localhost"

    def check(self, environment: Mapping[str, str]) -> None:
        """Refuse what must not or cannot be started.

        Raises:
            StudyError: it would be open without accounts, or a package or a free port is missing.
        """
        lines = []
        if not self.database.startswith(("sqlite:///", "postgresql")):
            lines.append(f"--backend: '{self.database.split(':')[0]}' is no sqlite:/// or postgresql:// address.")
        missing = [name for name in SECRETS if not environment.get(name)]
        if self.is_open and missing:
            lines.append(
                f"--host {self.host}: reached from other machines, so it must ask for accounts; set "
                f"{' and '.join(missing)}, or leave --host out and reach it through ssh -L."
            )
        if self.is_open and find_spec("flask_wtf") is None:
            lines.append(f"--host {self.host}: accounts need flask_wtf; pip install 'tadtune[server]'.")
        if not lines:
            lines += _cannot_bind(self)
        if lines:
            raise StudyError(lines)

    def command(self) -> list[str]:
        """Command line of the server; nothing on it says where the data base is."""
        options = {
            "--artifacts-destination": (self.storage / "mlartifacts").resolve().as_uri(),
            "--host": self.host,
            "--port": str(self.port),
            "--workers": "1",
            "--allowed-hosts": ",".join(self._allowed_hosts()),
        }
        if self.is_open:
            options["--app-name"] = "basic-auth"
        if self.names:  # a browser names the page's origin with what it writes
            options["--cors-allowed-origins"] = ",".join(
                f"{s}://{n}" for n in self._called() for s in ("http", "https")
            )
        return [sys.executable, "-m", "mlflow", "server", *(word for pair in options.items() for word in pair)]

    def environment(self) -> dict[str, str]:
        """Environment of the server; the data base's address is here, and its password where libpq looks for it."""
        address, password = without_password(self.database)
        own = {"MLFLOW_BACKEND_STORE_URI": address} | ({"PGPASSWORD": password} if password else {})
        if self.is_open and "MLFLOW_AUTH_CONFIG_PATH" not in os.environ:
            own["MLFLOW_AUTH_CONFIG_PATH"] = str(self._auth_config)
        return {**server_environment(), **own}

    def write_auth_config(self) -> None:
        """Where accounts are kept: with the runs, not in whatever folder the server was started from."""
        if not self.is_open or "MLFLOW_AUTH_CONFIG_PATH" in os.environ:
            return
        accounts = without_password(self.backend or f"sqlite:///{(self.storage / 'mlflow_accounts.db').resolve()}")[0]
        lines = ["[mlflow]", "default_permission = READ", f"database_uri = {accounts.replace('%', '%%')}"]
        write_text(self._auth_config, "\n".join([*lines, "admin_username = admin", ""]))

    @property
    def _auth_config(self) -> Path:
        return (self.storage / "mlflow_auth.ini").resolve()

    def _called(self) -> list[str]:
        """Further names, with and without the port: MLflow compares the whole Host header."""
        return [word for name in self.names for word in (name, f"{name}:{self.port}")]

    def _allowed_hosts(self) -> list[str]:
        from mlflow.server.security_utils import get_private_ip_patterns

        own = [*_LOOPBACK, socket.gethostname()] + ([] if self.host in _LOOPBACK else [self.host])
        pairs = [word for name in own for word in (name, f"{name}:{self.port}")]
        return [*pairs, *(get_private_ip_patterns() if self.is_open else ()), *self._called()]


def server_environment() -> dict[str, str]:
    """Environment of any MLflow server: without the job workers nobody uses here."""
    return {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def serve(server: Server, say: Callable[[str], object], *, migrate: bool = False) -> int:
    """Start a server, check it as a study would, and run it until it is stopped; its exit code.

    Raises:
        StudyError: something does not fit, or the server does not come up.
    """
    server.check(os.environ)
    server.storage.mkdir(parents=True, exist_ok=True)
    done = prepare_database(server.database, migrate=migrate)
    if done:
        say(done)
    server.write_auth_config()
    process = subprocess.Popen(server.command(), env=server.environment())
    with _stopping(process):
        try:
            _wait_until_well(server, process)
        except StudyError:
            process.terminate()
            process.wait()
            raise
        if process.poll() is None:
            accounts = ", with accounts" if server.is_open else ", this machine only"
            say(f"MLflow answers at {server.uri}{accounts}; Ctrl-C stops it.")
        code = process.wait()
    return 0 if code in (-signal.SIGINT, -signal.SIGTERM) else code


def _wait_until_well(server: Server, process: subprocess.Popen[bytes]) -> None:
    """Until a study could record there, or the process has ended.

    Raises:
        StudyError: neither within ``START_S``.
    """
    deadline = time.monotonic() + START_S
    while process.poll() is None:
        problem = tracking_problem(server.uri)
        # its administrator's password is the server's own affair: that it asks for one is what is checked
        if not problem or (server.is_open and "(401)" in problem):
            return
        if time.monotonic() > deadline:
            raise StudyError([f"server: after {START_S:.0f} s still: {problem}"])
        time.sleep(0.3)


@contextlib.contextmanager
def _stopping(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the server on SIGINT and SIGTERM, so that it does not outlive its starter."""

    def end(number: int, frame: object) -> None:
        if process.poll() is None:
            process.terminate()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _cannot_bind(server: Server) -> list[str]:
    """A complaint when the address cannot be listened on, before a data base is touched."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return [f"--port: {server.port} is taken; `tadtune server up --check {server.uri}` says by what."]
            return [f"--host {server.host}: cannot be bound ({error.strerror}); give an address of this machine."]
    return []
