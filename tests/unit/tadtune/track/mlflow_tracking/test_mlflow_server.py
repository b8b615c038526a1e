"""A tracking server never stands open, shows no password and knows its names."""

from __future__ import annotations

import socket
import stat
from configparser import ConfigParser
from pathlib import Path

import pytest
from mlflow.server.auth.config import read_auth_config
from mlflow.server.security_utils import is_allowed_host_header

from tadtune.spec.errors import StudyError
from tadtune.track.mlflow_tracking.server import SECRETS, Server

ENOUGH = dict.fromkeys(SECRETS, "x")


def option(server: Server, name: str) -> str:
    command = server.command()
    return command[command.index(name) + 1]


@pytest.mark.parametrize(
    ("host", "is_open"),
    [
        ("127.0.0.1", False),
        ("127.0.3.4", False),
        ("localhost", False),
        ("::1", False),
        ("0.0.0.0", True),
        ("::", True),
        ("10.0.0.7", True),
        ("mlflow.lab", True),
    ],
)
def test_everything_but_loopback_needs_accounts(tmp_path: Path, host: str, is_open: bool) -> None:
    server = Server(tmp_path, 1, host)
    assert server.is_open == is_open
    assert ("--app-name" in server.command()) == is_open


@pytest.mark.parametrize("given", [(), SECRETS[:1], SECRETS[1:]])
def test_an_open_server_without_accounts_is_refused(tmp_path: Path, given: tuple[str, ...]) -> None:
    missing = " and ".join(name for name in SECRETS if name not in given)
    with pytest.raises(StudyError, match=f"^--host 0.0.0.0: .*it must ask for accounts; set {missing}, or leave"):
        Server(tmp_path, 0, "0.0.0.0").check(dict.fromkeys(given, "x"))
    Server(tmp_path, 0, "0.0.0.0").check(ENOUGH)
    Server(tmp_path, 0).check({})


def test_a_secret_that_is_empty_is_none(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=SECRETS[0]):
        Server(tmp_path, 0, "0.0.0.0").check({**ENOUGH, SECRETS[0]: ""})


def test_other_data_bases_and_taken_ports_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="^--backend: 'mysql' is no sqlite:/// or postgresql:// address"):
        Server(tmp_path, 0, backend="mysql://me:secret@host/x").check({})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StudyError, match=f"^--port: {port} is taken"):
            Server(tmp_path, port).check({})


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"^--host 203.0.113.9: cannot be bound \("):
        Server(tmp_path, 0, "203.0.113.9").check(ENOUGH)


def test_names_are_allowed_with_and_without_the_port(tmp_path: Path) -> None:
    allowed = option(Server(tmp_path, 5001, "0.0.0.0", names=("mlflow.lab",)), "--allowed-hosts").split(",")
    for host in ("mlflow.lab", "localhost", "127.0.0.1", "[::1]", socket.gethostname(), "10.1.2.3", "172.20.0.9"):
        assert is_allowed_host_header(allowed, host), host
        assert is_allowed_host_header(allowed, f"{host}:5001"), host
    for host in ("evil.com", "mlflow.lab.evil.com", "mlflow.lab:80", "8.8.8.8", ""):
        assert not is_allowed_host_header(allowed, host), host
    on_loopback = option(Server(tmp_path, 5001), "--allowed-hosts").split(",")
    assert not is_allowed_host_header(on_loopback, "10.1.2.3:5001")


def test_browsers_may_write_under_the_names_given(tmp_path: Path) -> None:
    origins = option(Server(tmp_path, 5001, names=("mlflow.lab",)), "--cors-allowed-origins").split(",")
    assert {"http://mlflow.lab:5001", "https://mlflow.lab"} <= set(origins)
    assert "--cors-allowed-origins" not in Server(tmp_path, 5001).command()


def test_no_password_on_the_command_line(tmp_path: Path) -> None:
    server = Server(tmp_path, 1, backend="postgresql://me:geheim@db/mlflow")
    assert not any("geheim" in word for word in server.command())
    environment = server.environment()
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql://me@db/mlflow"
    assert environment["PGPASSWORD"] == "geheim"
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert option(server, "--workers") == "1"


def test_accounts_are_kept_with_the_runs_and_only_the_owner_reads_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = "postgresql://m%40:100%25@db/mlflow"  # a percent sign means something to the file's reader
    assert Server(tmp_path, 1, "0.0.0.0", backend).environment()["PGPASSWORD"] == "100%"
    for server, database in (
        (Server(tmp_path, 1, "0.0.0.0", backend), "postgresql://m%40@db/mlflow"),
        (Server(tmp_path, 1, "0.0.0.0"), f"sqlite:///{tmp_path / 'mlflow_accounts.db'}"),
    ):
        server.write_auth_config()
        path = Path(server.environment()["MLFLOW_AUTH_CONFIG_PATH"])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with monkeypatch.context() as patch:
            patch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(path))
            read = read_auth_config()
        assert (read.database_uri, read.admin_username, read.default_permission) == (database, "admin", "READ")


def test_a_configuration_of_ones_own_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.ini"
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(own))
    server = Server(tmp_path / "storage", 1, "0.0.0.0")
    server.write_auth_config()
    assert server.environment()["MLFLOW_AUTH_CONFIG_PATH"] == str(own)
    assert not list(tmp_path.rglob("*.ini"))


def test_loopback_has_no_accounts(tmp_path: Path) -> None:
    server = Server(tmp_path, 1)
    server.write_auth_config()
    assert not list(tmp_path.iterdir())
    assert "MLFLOW_AUTH_CONFIG_PATH" not in server.environment()


@pytest.mark.parametrize(
    ("host", "uri"),
    [
        ("127.0.0.1", "http://127.0.0.1:7"),
        ("0.0.0.0", "http://127.0.0.1:7"),
        ("::1", "http://[::1]:7"),
        ("10.0.0.7", "http://10.0.0.7:7"),
    ],
)
def test_where_this_machine_reaches_it(tmp_path: Path, host: str, uri: str) -> None:
    assert Server(tmp_path, 7, host).uri == uri


def test_the_file_is_what_a_parser_reads(tmp_path: Path) -> None:
    Server(tmp_path, 1, "0.0.0.0").write_auth_config()
    parser = ConfigParser()
    parser.read(tmp_path / "mlflow_auth.ini")
    assert parser.sections() == ["mlflow"]
