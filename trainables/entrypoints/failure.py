"""How a verb ends on bad input: one line, and exit code 2."""

from __future__ import annotations

import typer


def fail(error: Exception) -> typer.Exit:
    """Tell the error; the caller raises what comes back."""
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(2)
