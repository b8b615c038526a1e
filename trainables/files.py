"""Files written whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write to; what is there takes the name of ``path`` when the block ends.

    A reader sees the old content or the new, never a part. Processes that do it at once do not disturb each other; the
    last one's content stays. A block that fails leaves nothing behind.
    """
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
