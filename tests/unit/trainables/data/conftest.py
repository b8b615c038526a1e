"""One reader for the tests that do not harm it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trainables.data.video.reader import VideoReader


@pytest.fixture(scope="session")
def reader() -> Iterator[VideoReader]:
    with VideoReader(timeout_s=30) as opened:
        yield opened
