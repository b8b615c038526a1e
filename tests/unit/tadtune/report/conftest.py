from __future__ import annotations

from pathlib import Path

import pytest
from report_studies import install

from tadtune.track.study_folder import StudyFolder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    """Where studies of the lab's parts keep their records."""
    install(monkeypatch.setattr)
    return StudyFolder(tmp_path, "lab__study")
