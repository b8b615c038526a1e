"""Image and on-premise services: against linters and specifications, and our rules of safety."""

from __future__ import annotations

import configparser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_files import CLUSTER, ROOT, put
from linters import compose_problems, compose_safety, dockerfile_problems


def test_the_image_is_fit_to_build() -> None:
    assert dockerfile_problems(CLUSTER / "Dockerfile") == []


def test_the_image_copies_what_the_package_needs() -> None:
    text = (CLUSTER / "Dockerfile").read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    sources = {source for line in copied for source in line}
    assert all((ROOT / source).exists() for source in sources)
    assert {"pyproject.toml", "constraints.txt", "README.md", "platform", "trainables", "search_spaces"} <= sources
    assert "\ntorch==" in (ROOT / "constraints.txt").read_text()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("USER 1000:1000", "", "USER"),
        ("USER 1000:1000", "USER root", "USER"),
        ("python:3.11.14-slim-bookworm\n#", "python:latest\n#", "FROM"),
        ("python:3.11.14-slim-bookworm\n#", "python\n#", "DL3006"),
        ("COPY platform platform", "ADD https://example.org/platform.tar.gz platform", "ADD"),
        ("RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled", "RAY_AUTH_MODE"),
        ("RAY_USAGE_STATS_ENABLED=0", "RAY_AUTH_TOKEN=abc", "secret"),
        ("rsync=3.2.7-*", "rsync", "DL3008"),
        (" wget=1.21.3-*", "", "KubeRay's probes"),
        ("    HOME=/home/tadtune \\\n", "", "HOME"),
        ("/etc/profile.d/tadtune.sh", "/etc/tadtune.sh", "login shell"),
        ("WORKDIR /src", "WORKDIR src", "DL3000"),
        ("CMD [", "EXPOSE 8265\nCMD [", "EXPOSE"),
        ("CMD [", "CMDD [", "DL1000"),
    ],
)
def test_a_fault_in_the_dockerfile_is_found(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (CLUSTER / "Dockerfile").read_text()
    assert old in text
    file = tmp_path / "Dockerfile"
    file.write_text(text.replace(old, new))
    found = dockerfile_problems(file)
    assert any(said in line for line in found), found


def services() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((CLUSTER / "compose.yaml").read_text())
    return config


def test_the_services_are_fit_to_start() -> None:
    assert compose_problems(CLUSTER / "compose.yaml") == []
    assert list(compose_safety(services())) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("services.mlflow.ports", ["5000:5000"], "not on loopback"),
        ("services.mlflow.ports", ["0.0.0.0:5000:5000"], "not on loopback"),
        ("services.postgres.ports", ["5432:5432"], "not on loopback"),
        ("services.mlflow.network_mode", "host", "wall"),
        ("services.mlflow.environment.MLFLOW_AUTH_ADMIN_PASSWORD", "x", "in the open"),
        (
            "services.mlflow.environment.MLFLOW_BACKEND_STORE_URI",
            "postgresql://mlflow:x@postgres/mlflow",
            "in the open",
        ),
        ("services.mlflow.command", ["bash", "-c", "mlflow server --host 0.0.0.0"], "without authentication"),
        ("services.mlflow.image", "${TADTUNE_IMAGE}", "missing value"),
        ("services.mlflow.healthcheck", None, "healthcheck"),
        ("services.postgres.image", "postgres:latest", "no version"),
        ("services.postgres.user", None, "start as root"),
        ("services.postgres.user", "0:0", "start as root"),
        ("services.postgres.cap_drop", None, "capabilities"),
        ("services.mlflow.security_opt", ["seccomp:unconfined"], "escalation"),
    ],
)
def test_an_opening_in_the_services_is_found(path: str, value: Any, said: str) -> None:
    config = services()
    put(config, path, value)
    found = list(compose_safety(config))
    assert any(said in line for line in found), found


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("services.mlflow.helthcheck", {"test": "true"}, "helthcheck"),
        ("services.mlflow.environment", "A=b", "environment"),
        ("service", {}, "service"),
    ],
)
def test_a_fault_in_the_compose_file_is_found(tmp_path: Path, path: str, value: Any, said: str) -> None:
    config = services()
    put(config, path, value)
    file = tmp_path / "compose.yaml"
    file.write_text(yaml.safe_dump(config))
    found = compose_problems(file)
    assert any(said in line for line in found), found


def test_mlflow_knows_its_settings_of_authentication() -> None:
    (package,) = find_spec("mlflow").submodule_search_locations  # type: ignore[union-attr, misc]
    ours, shipped = configparser.ConfigParser(), configparser.ConfigParser()
    ours.read(CLUSTER / "mlflow_auth.ini")
    shipped.read(Path(package) / "server" / "auth" / "basic_auth.ini")
    assert set(ours["mlflow"]) <= set(shipped["mlflow"])
    assert ours["mlflow"]["authorization_function"] == shipped["mlflow"]["authorization_function"]
    assert "admin_password" not in ours["mlflow"]
    # on the volume that outlives the server
    folder = Path(ours["mlflow"]["database_uri"].removeprefix("sqlite:///")).parent
    assert f"mlflow:{folder}" in services()["services"]["mlflow"]["volumes"]
