"""``cluster/fill``: values in, a clear error for what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster_files import CLUSTER, VALUES, fill, variables

OTHERS = {"job.yaml", "compose.yaml"}
TEMPLATES = sorted(str(file.relative_to(CLUSTER)) for file in CLUSTER.rglob("*.yaml") if file.name not in OTHERS)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_variable_is_explained_and_filled(name: str) -> None:
    asked = variables(CLUSTER / name)
    assert asked <= set(VALUES)
    text = (CLUSTER / name).read_text()
    for variable in asked:
        assert f"# {variable}: " in text, f"{name} does not say what {variable} is"
    result = fill(CLUSTER / name, VALUES)
    assert result.returncode == 0, result.stderr
    body = "\n".join(line for line in result.stdout.splitlines() if not line.startswith("#"))
    assert "${" not in body
    for variable in asked:
        assert VALUES[variable] in body


@pytest.mark.parametrize("name", [name for name in TEMPLATES if variables(CLUSTER / name)])
def test_all_missing_variables_are_named_with_their_meaning(name: str) -> None:
    asked = sorted(variables(CLUSTER / name))
    one, *others = asked
    for values, missing in (({}, asked), ({**VALUES, one: ""}, [one]), ({one: VALUES[one]}, others)):
        result = fill(CLUSTER / name, values)
        assert (result.returncode, result.stdout) == ((1, "") if missing else (0, result.stdout))
        lines = result.stderr.splitlines()
        assert len(lines) == len(missing)
        for variable, line in zip(missing, lines, strict=True):
            assert f"set {variable}: " in line


def test_values_are_taken_as_they_are(tmp_path: Path) -> None:
    template = tmp_path / "a.yaml"
    template.write_text("# TADTUNE_A: anything\na: ${TADTUNE_A}\nb: $HOME ${TADTUNE_A} & \\1\n")
    result = fill(template, {"TADTUNE_A": r"x & \0 / $HOME 'y'"})
    assert result.stdout == "# TADTUNE_A: anything\na: x & \\0 / $HOME 'y'\nb: $HOME x & \\0 / $HOME 'y' & \\1\n"


@pytest.mark.parametrize("value", ["a\nprovider: {type: aws}", "${TADTUNE_B}"])
def test_a_value_cannot_add_keys(tmp_path: Path, value: str) -> None:
    template = tmp_path / "a.yaml"
    template.write_text("a: ${TADTUNE_A}\n")
    result = fill(template, {"TADTUNE_A": value})
    assert result.returncode == 1
    assert result.stdout == ""
    assert "TADTUNE_A holds" in result.stderr


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = fill(tmp_path / "none.yaml", VALUES)
    assert result.returncode == 2
    assert "none.yaml" in result.stderr
