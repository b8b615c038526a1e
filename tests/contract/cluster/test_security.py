"""What docs/security.md says is never done, read off the sources; and that the pages name what is there."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_files import CLUSTER, ROOT, VALUES, variables

UNPICKLERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def sources() -> list[Path]:
    """All of the project's Python but its tests, which make pickles to see them refused."""
    listing = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "platform", "trainables", "benchmarks"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listing.stdout.split() if name.endswith(".py") and (ROOT / name).is_file()]


def unsafe(text: str) -> Iterator[str]:
    """Calls that run code from what they read or show a dashboard to everybody, one line each."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            yield from (f"{node.lineno}: {line}" for line in _unsafe_call(called, arguments))


def _unsafe_call(called: str, arguments: dict[str | None, str]) -> Iterator[str]:
    module, _, function = called.rpartition(".")
    if module in UNPICKLERS and function in {"load", "loads", "Unpickler", "open"}:
        yield f"{called} runs code from what it reads"
    if called == "yaml.load" and not re.search(r"\bC?SafeLoader$", arguments.get("Loader", "")):
        yield "yaml.load without the safe loader"
    if called in {"yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "yaml.unsafe_load_all", "yaml.full_load_all"}:
        yield f"{called} is not the safe loader"
    if called == "torch.load" and arguments.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    if arguments.get("allow_pickle", "False") != "False":
        yield f"{called} with allow_pickle"
    if called in {"eval", "exec", "pd.read_pickle", "pandas.read_pickle", "torch.jit.load"}:
        yield f"{called} runs what it is given"
    if called == "ray.init" and arguments.get("dashboard_host", "'127.0.0.1'") != "'127.0.0.1'":
        yield "ray.init with a dashboard beyond loopback"


def test_nothing_that_is_read_is_run() -> None:
    files = sources()
    assert len(files) > 100
    found = [f"{file.relative_to(ROOT)}:{line}" for file in files for line in unsafe(file.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle\npickle.load(f)",
        "pickle.loads(b'')",
        "yaml.load(f)",
        "yaml.load(f, Loader=yaml.FullLoader)",
        "yaml.unsafe_load(f)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "np.load(f, allow_pickle=True)",
        "eval(text)",
        "ray.init(dashboard_host='0.0.0.0')",
    ],
)
def test_each_is_found_where_it_is_planted(text: str) -> None:
    assert list(unsafe(text))


@pytest.mark.parametrize(
    "text",
    [
        "yaml.safe_load(f)",
        "yaml.load(f, Loader=yaml.CSafeLoader)",
        "torch.load(f, weights_only=True)",
        "np.load(f)",
        "np.load(f, allow_pickle=False)",
        "model.eval()",
    ],
)
def test_what_is_safe_passes(text: str) -> None:
    assert list(unsafe(text)) == []


def test_a_local_ray_is_started_with_an_explicit_mode_and_no_dashboard_beyond_loopback() -> None:
    starting = []
    for file in sources():
        text = file.read_text(encoding="utf-8")
        if "ray.init(" in text and not file.is_relative_to(ROOT / "benchmarks"):
            starting.append(file.name)
            assert text.index('os.environ["RAY_AUTH_MODE"] = ') < text.index("ray.init("), file
            assert '"dashboard_host": "127.0.0.1"' in text or '"include_dashboard": False' in text, file
    assert sorted(starting) == ["ray_session.py", "session.py"]


def test_every_start_of_ray_under_cluster_says_its_mode() -> None:
    for file in sorted(CLUSTER.rglob("*")):
        if not file.is_file() or file.name == "fill":
            continue
        body = "\n".join(line for line in file.read_text().splitlines() if not line.lstrip().startswith("#"))
        if re.search(r"\bray start\b|kind: Ray|python:", body):
            assert re.search(r"RAY_AUTH_MODE(=token|, value: token)", body), file.name
        assert not re.search(r"RAY_AUTH_MODE\W+disabled", body), file.name


@pytest.mark.parametrize("page", ["security.md", "cluster.md"])
def test_the_pages_name_what_is_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    paths = set(re.findall(r"(?:cluster|tests)/[\w/.-]*\w", text))
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path
    scripts = (CLUSTER / "slurm" / "tadtune.sbatch").read_text() + (CLUSTER / "Dockerfile").read_text()
    for variable in re.findall(r"\bTADTUNE_[A-Z_]+\b", text):
        assert variable in VALUES or variable in scripts, variable


def test_every_secret_that_a_manifest_names_is_on_the_page() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    named = set()
    for file in (CLUSTER / "kuberay").glob("*.yaml"):
        named |= set(re.findall(r"secretKeyRef: \{name: ([\w-]+), key: ([\w-]+)\}", file.read_text()))
        named |= {(name, "auth_token") for name in re.findall(r"secretName: ([\w-]+)", file.read_text())}
    assert len(named) == 6
    for name, key in named:
        command = re.search(rf"generic {name} (.*?)\nkubectl|generic {name} (.*?)```", page, re.DOTALL)
        assert command is not None, name
        assert f"{key}=" in command[0], (name, key)


def test_every_launch_file_asks_for_a_token() -> None:
    for name in ("aws", "gcp", "on_prem"):
        assert "TADTUNE_TOKEN_FILE" in variables(CLUSTER / f"{name}.yaml")
