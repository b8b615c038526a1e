"""Linters that come as programs, and what a compose file must not do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent


def shell_problems(file: Path) -> list[str]:
    """What ``bash -n`` and shellcheck find."""
    syntax = subprocess.run(["bash", "-n", file], capture_output=True, text=True, check=False)
    if syntax.returncode:
        return syntax.stderr.splitlines()
    command = [BIN / "shellcheck", "--format", "gcc", "--enable", "check-unassigned-uppercase", file]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


def dockerfile_problems(file: Path) -> list[str]:
    """What hadolint finds, and our own rules: the last user, secrets in layers, files from the network."""
    command = [BIN / "hadolint", "--no-color", "--format", "json", file]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [f"{item['line']}: {item['code']} {item['message']}" for item in json.loads(result.stdout)]
    return found + list(_dockerfile_rules(file.read_text()))


def _dockerfile_rules(text: str) -> Iterator[str]:
    instructions = [line.split(maxsplit=1) for line in re.sub(r"\\\n", " ", text).splitlines() if line[:1].isupper()]
    last_stage = max(i for i, (name, *_) in enumerate(instructions) if name == "FROM")
    users = [rest[0] for name, *rest in instructions[last_stage:] if name == "USER"]
    if not users or re.match(r"(0|root)\b", users[-1]):
        yield "USER: the last stage must end as somebody else than root, by number"
    for name, *rest in instructions:
        value = rest[0] if rest else ""
        if name == "ADD":
            yield f"ADD {value}: fetches and unpacks; use COPY"
        if name == "FROM" and not re.match(r"[\w./-]+:\d+\.\d+\.\d+", value):
            yield f"FROM {value}: name a full version"
        if name in {"ENV", "ARG"} and re.search(r"\w*(PASSWORD|SECRET|TOKEN)\w*=", value):
            yield f"{name} {value}: a secret would stay in the image"
        if name == "EXPOSE":
            yield f"EXPOSE {value}: `docker run -P` would publish it on every address"
    if "RAY_AUTH_MODE=token" not in text:
        yield "ENV: RAY_AUTH_MODE=token is missing"
    if not re.search(r"\bHOME=/", " ".join(rest[0] for name, *rest in instructions[last_stage:] if name == "ENV")):
        yield "ENV: HOME is missing; Ray's launcher would mount the token below /root"
    for folder in re.findall(r"\bPATH=([^:\s]+):\$PATH", text):
        if not re.search(rf"PATH={folder}:.*> /etc/profile\.d/", text):
            yield f"ENV: PATH has {folder}, which a login shell, as Ray's launcher uses it, would not have"
    for program, caller in (
        ("openssh-client", "Ray's head"),
        ("rsync", "Ray's launcher"),
        ("wget", "KubeRay's probes"),
    ):
        if not re.search(rf"\b{program}=", text):
            yield f"RUN: {program} is not installed; {caller} would not find it"


def compose_problems(file: Path) -> list[str]:
    """What the compose specification refuses."""
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "--output-format", "json", file]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    return [f"{item['path']}: {item['message']}" for item in [*result["errors"], *result.get("parse_errors", [])]]


def compose_safety(config: dict[str, Any]) -> Iterator[str]:
    """Ports beyond loopback, secrets in the open, servers without authentication or health checks."""
    for name, service in config["services"].items():
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name}.ports: {port} is not on loopback"
        for key in ("privileged", "network_mode", "pid"):
            if key in service:
                yield f"{name}.{key}: takes the wall between the machine and the container away"
        for key, value in service.get("environment", {}).items():
            if re.search(r"(PASSWORD|SECRET_KEY|TOKEN)$", key) or re.search(r"://[^/@]*:[^/@]*@", str(value)):
                yield f"{name}.environment.{key}: a secret in the open; use `secrets`"
        if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name}: must drop all capabilities and forbid escalation"
        if not service["image"].startswith("${TADTUNE_IMAGE:") and not re.match(r"[1-9]", str(service.get("user"))):
            yield f"{name}.user: the image would start as root"
        if "healthcheck" not in service:
            yield f"{name}: no healthcheck"
        if not re.match(r"\$\{TADTUNE_IMAGE:\?|[\w./-]+:\d+\.\d+", service["image"]):
            yield f"{name}.image: {service['image']} has no version"
        if "mlflow server" in str(service.get("command")) and "--app-name basic-auth" not in str(service["command"]):
            yield f"{name}.command: MLflow without authentication"
    text = str(config)
    for variable in re.findall(r"\$\{([^}]*)\}", text):
        if ":?" not in variable:
            yield f"${{{variable}}}: a missing value would pass as empty; use {{NAME:?what it is}}"
