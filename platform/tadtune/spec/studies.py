"""Finding study files: by path, or by the name of a built-in one."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from tadtune.spec.errors import StudyError, nearest


def built_in_folder() -> Path:
    """Folder of the built-in studies: inside the package, or beside it in a checkout."""
    package = Path(str(files("tadtune")))
    inside = package / "search_spaces"
    return inside if inside.is_dir() else package.parent.parent / "search_spaces"


def built_in_studies() -> dict[str, Path]:
    """Name (``kt_mgfn/demo_sweep``) -> path of every built-in study, sorted."""
    root = built_in_folder()
    return {p.relative_to(root).with_suffix("").as_posix(): p for p in sorted(root.rglob("*.yaml"))}


def find_study(name: str) -> Path:
    """Path of a study given as a path or as a built-in name.

    Raises:
        StudyError: neither exists.
    """
    path = Path(name)
    if path.is_file():
        return path
    known = built_in_studies()
    short = name.removeprefix("search_spaces/").removesuffix(".yaml")
    if short in known:
        return known[short]
    raise StudyError([f"{name}: no such file and no such built-in study.{nearest(short, known)}"])
