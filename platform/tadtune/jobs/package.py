"""What a submitted study needs on the cluster: its file and the packages it names, nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points, packages_distributions
from importlib.util import find_spec
from pathlib import Path

from tadtune.spec.components import GROUPS
from tadtune.spec.errors import StudyError
from tadtune.spec.study import Study

#: Ray takes no larger package, bytes (max_grpc_message_size in ray-project/ray:src/ray/common/ray_config_def.h).
LIMIT_BYTES = 512 << 20
#: Never part of a package's code.
EXCLUDED = ("__pycache__", ".git", ".venv", ".ipynb_checkpoints", ".mypy_cache", ".ruff_cache", ".pytest_cache")
#: What makes a copied package known to the interpreter: its entry points and its name.
_DECLARATIONS = ("METADATA", "PKG-INFO", "entry_points.txt")


@dataclass(frozen=True)
class Package:
    """Files to upload.

    Attributes:
        files: path on the cluster, relative to the job's folder -> file here.
        texts: path on the cluster -> content; the declarations of the packages.
    """

    files: Mapping[str, Path]
    texts: Mapping[str, str]

    @property
    def num_files(self) -> int:
        """Of both kinds."""
        return len(self.files) + len(self.texts)

    @property
    def num_bytes(self) -> int:
        """Before compression."""
        return sum(_sizes(self).values())

    def check_size(self, limit_bytes: int = LIMIT_BYTES) -> None:
        """Refuse what the cluster would refuse after the upload.

        Raises:
            StudyError: too large; the largest files are named.
        """
        total = self.num_bytes
        if total < limit_bytes:
            return
        largest = sorted(_sizes(self).items(), key=lambda item: -item[1])[:3]
        named = ", ".join(f"{self.files.get(name, name)} ({size / (1 << 20):.1f} MiB)" for name, size in largest)
        raise StudyError(
            [
                f"upload: {self.num_files} files of {total / (1 << 20):.1f} MiB, Ray takes less than "
                f"{limit_bytes / (1 << 20):.0f} MiB; the largest: {named}. Move data and weights to the shared folder."
            ]
        )

    def write(self, folder: Path) -> None:
        """Lay the files out as the job's working directory will have them."""
        for name, source in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)
        for name, text in self.texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")


def select_files(study_file: Path, study: Study, *, installed: bool, modules: Sequence[str]) -> Package:
    """The study's file, the distributions of the components it names, and further packages of the lab.

    A distribution is uploaded with its declared entry points, so that components are found on the cluster by name as
    they are here; an uploaded one comes before one that is installed there.

    Args:
        study_file: becomes ``<name>.yaml`` of the job's folder.
        study: its content.
        installed: the cluster has this platform installed; its packages are left out.
        modules: importable top-level packages to take along.

    Raises:
        StudyError: a package is not found here or is compiled into a file that cannot be copied.
    """
    files = {study_file.name: study_file}
    texts: dict[str, str] = {}
    for distribution in _distributions(study, modules):
        if installed and distribution.name == "tadtune":
            continue
        texts |= _declarations(distribution)
        for module in _top_levels(distribution):
            files |= _module_files(module)
    for module in modules:
        files |= _module_files(module)
    return Package(files, texts)


def _distributions(study: Study, modules: Sequence[str]) -> list[Distribution]:
    """Those that offer what the study names, this platform first, and those of the named modules."""
    by_name = {d.name: d for d in _first_of_each(distributions())}
    points = list(_points(study))
    wanted = ["tadtune", *(point.dist.name for point in points if point.dist is not None)]
    owners = packages_distributions() if modules else {}
    for module in modules:
        wanted += owners.get(module, [])
    return [by_name[name] for name in dict.fromkeys(wanted) if name in by_name]


def _first_of_each(found: Iterable[Distribution]) -> list[Distribution]:
    """The distribution of each name that the interpreter uses: the first on its path."""
    unique: dict[str, Distribution] = {}
    for distribution in found:
        unique.setdefault(distribution.name, distribution)
    return list(unique.values())


def _points(study: Study) -> Iterator[EntryPoint]:
    """Entry points of the components that the study names."""
    rows = study.ablation.rows if study.ablation is not None else ()
    for parts in (study.parts, *(row.parts for row in rows)):
        named = {"trainable": parts.trainable, "detector": parts.detector, "dataset": parts.dataset}
        for kind, name in [*named.items(), ("protocol", parts.protocol), *(("task", task) for task in parts.tasks)]:
            yield from entry_points(group=GROUPS[kind], name=name)


def _top_levels(distribution: Distribution) -> list[str]:
    """Packages that the distribution's entry points name."""
    return sorted({point.value.split(":")[0].split(".")[0] for point in distribution.entry_points})


def _declarations(distribution: Distribution) -> dict[str, str]:
    folder = f"{distribution.name.replace('-', '_')}-{distribution.version}.dist-info"
    texts = {name: distribution.read_text(name) for name in _DECLARATIONS}
    found = {name: text for name, text in texts.items() if text}
    if "PKG-INFO" in found:  # the older spelling, of packages that are linked into the environment
        found.setdefault("METADATA", found.pop("PKG-INFO"))
    return {f"{folder}/{name}": text for name, text in found.items()}


def _module_files(module: str) -> dict[str, Path]:
    """Files of an importable top-level package or module, by their path on the cluster."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise StudyError([f"package: '{module}' cannot be imported here; install it, or give its importable name."])
    roots = [Path(root) for root in spec.submodule_search_locations or []]
    if not roots:
        source = Path(spec.origin or "")
        if source.suffix != ".py":
            raise StudyError([f"package: '{module}' is no Python source ({spec.origin}); install it on the cluster."])
        return {source.name: source}
    return {
        f"{module}/{path.relative_to(root).as_posix()}": path
        for root in roots
        for path in sorted(root.rglob("*"))
        if path.is_file() and not set(path.relative_to(root).parts) & set(EXCLUDED) and path.suffix != ".pyc"
    }


def _sizes(package: Package) -> dict[str, int]:
    sizes = {name: source.stat().st_size for name, source in package.files.items()}
    return sizes | {name: len(text.encode()) for name, text in package.texts.items()}
