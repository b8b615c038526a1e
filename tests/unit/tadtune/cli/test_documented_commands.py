"""Commands of the documentation are ones that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from tadtune.cli import app

ROOT = Path(__file__).resolve().parents[4]
BLOCKS = re.findall(r"```console\n(.*?)```", (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8"), flags=re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("tadtune")]


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_understood(command: str) -> None:
    """Parsed to the last word, without running it: a wrong verb or option raises."""
    verb = typer.main.get_command(app)
    _, *words = shlex.split(command)
    context = verb.make_context("tadtune", words)
    while hasattr(verb, "resolve_command"):
        name, verb, words = verb.resolve_command(context, [*context._protected_args, *context.args])
        context = verb.make_context(name, words, parent=context)
    assert context.params


def test_every_verb_of_the_page_is_shown() -> None:
    verbs = {" ".join(shlex.split(command)[1:3]) for command in COMMANDS}
    assert verbs == {"submit my_study.yaml", "jobs list", "jobs logs", "jobs stop", "server up"}
