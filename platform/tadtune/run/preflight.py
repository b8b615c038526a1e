"""Checks before anything is taken: each failure is one line with the way out."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from tadtune.spec.combination import build_configs
from tadtune.spec.errors import StudyError
from tadtune.spec.study import Study
from tadtune.track.object_store.objects import open_store
from tadtune.track.study_folder import StudyFolder

#: Free disk below which nothing starts, bytes.
MIN_FREE_BYTES = 1 << 30

#: Within which a process of every node must have started and looked at the storage, seconds.
PROBE_S = 120.0


@dataclass(frozen=True)
class Prepared:
    """A data set that is there.

    Attributes:
        digest: of its contents.
        remarks: what a report has to say about it, for instance videos that were left out.
    """

    digest: str
    remarks: tuple[str, ...]


def prepare_data(study: Study, data_root: Path) -> dict[str, Prepared]:
    """Build or check every data set of the study, and ask detectors and tasks whether it has what they need.

    Returns:
        Each row's data set, by row key ("" = the study's own).

    Raises:
        StudyError: data are missing or damaged, or lack what a detector or task needs.
    """
    settings = {"": (study.parts, study.values)}
    if study.ablation is not None:
        settings = {row.key: (row.parts, row.values) for row in study.ablation.rows}
    prepared: dict[str, Prepared] = {}
    for key, (parts, values) in settings.items():
        configs = build_configs(parts, values)
        dataset = configs.dataset
        try:
            dataset.prepare(data_root)
            for part in (configs.detector, *configs.tasks.values()):
                if hasattr(part, "check_data"):
                    part.check_data(dataset, data_root)
            remarks = tuple(dataset.remarks(data_root)) if hasattr(dataset, "remarks") else ()
            prepared[key] = Prepared(str(dataset.digest(data_root)), remarks)
        except (FileNotFoundError, ValueError) as error:
            raise StudyError([f"data: {error}"]) from error
    return prepared


def check_data_unchanged(folder: StudyFolder, digests: set[str]) -> None:
    """Finished trials must have seen the data that are there now.

    Raises:
        StudyError: they saw other data.
    """
    for trial_id, record in folder.records().items():
        old = record.provenance().get("data")
        if old is not None and old not in digests and record.result() is not None:
            raise StudyError(
                [
                    f"data: trial {trial_id} was run on data {old[:12]}, now they are "
                    f"{', '.join(sorted(d[:12] for d in digests))}; rename the study, or restore the data."
                ]
            )


def check_are_folders(paths: Mapping[str, Path]) -> None:
    """Data, and the storage on this machine, are folders of a file system.

    Args:
        paths: option -> path, as given.

    Raises:
        StudyError: one is the address of an object store, or was meant as one.
    """
    way_out = {
        "data": "Data are mapped into memory; give a folder that every node mounts (local disk on one machine, NFS).",
        "storage": "The address of an object store has two slashes: s3://bucket/prefix.",
    }
    lines = [
        f"{option}: '{path}' is no folder. {way_out[option]}"
        for option, path in paths.items()
        if re.fullmatch(r"[a-z][a-z0-9+.-]+:", path.parts[0] if path.parts else "")
    ]
    if lines:
        raise StudyError(lines)


def check_disk(path: Path) -> None:
    """There must be room to write.

    Raises:
        StudyError: less than 1 GiB is free, or the folder cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise StudyError([f"storage: {path} cannot be written; choose another with --storage."])
    free = shutil.disk_usage(path).free
    if free < MIN_FREE_BYTES:
        raise StudyError([f"storage: {free >> 20} MiB free at {path}, 1024 are needed; free some or move --storage."])


def check_batches(study: Study) -> None:
    """Workers share each batch, so none may be without a share in every one.

    Raises:
        StudyError: a setting has smaller batches than workers.
    """
    settings = [("set", study.parts, study.values)]
    if study.ablation is not None:
        settings = [(f"rows.{row.key}", row.parts, row.values) for row in study.ablation.rows]
    lines = []
    for where, parts, values in settings:
        size = getattr(build_configs(parts, values).detector, "batch_size", study.resources.workers)
        if size < study.resources.workers:
            lines.append(
                f"resources.workers: {study.resources.workers} workers share batches of {size} ({where}), so that "
                "some would never have an input; ask for fewer workers, or raise the batch size."
            )
    if lines:
        raise StudyError(lines)


def check_storage_from_workers(path: Path) -> None:
    """Every node must see the storage folder.

    Raises:
        StudyError: a node does not, or does not answer; it is named.
    """
    if sum(node["Alive"] for node in ray.nodes()) < 2:
        return
    token = path / f".reachable.{uuid.uuid4().hex}"
    token.write_text("tadtune", encoding="utf-8")
    try:
        answers, lines = _ask_nodes(_is_file, str(token))
    finally:
        token.unlink(missing_ok=True)
    missing = sorted({node for node, found in answers if not found})
    if missing:
        lines.append(
            f"storage: {path} is not the same folder on node(s) {', '.join(missing)}; use a shared file system or an "
            "object store."
        )
    if lines:
        raise StudyError(lines)


def check_store_from_workers(address: str) -> None:
    """Every node must be able to write to the object store, with credentials of its own.

    Raises:
        StudyError: a node is not, or does not answer; it is named, with the reason.
    """
    answers, lines = _ask_nodes(_store_problem, address)
    lines += sorted({f"node {node}: {problem}" for node, problem in answers if problem})
    if lines:
        raise StudyError(lines)


def _ask_nodes(function: Callable[[str], Any], argument: str) -> tuple[list[tuple[str, Any]], list[str]]:
    """What a function returns on each node, by its address, and a line if there are nodes that do not answer."""
    probes = {
        _on_node(function, node["NodeID"], argument): node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"]
    }
    answered, silent = ray.wait(list(probes), num_returns=len(probes), timeout=PROBE_S)
    lines = []
    if silent:
        names = ", ".join(sorted({probes[probe] for probe in silent}))
        lines.append(
            f"nodes: no process of {names} answered within {PROBE_S:g} s; they may be overloaded or cut off. Run the "
            "same command again when they are not, or take them out of the cluster."
        )
    return [(probes[probe], ray.get(probe)) for probe in answered], lines


def _on_node(function: Callable[[str], Any], node_id: str, argument: str) -> Any:
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id, soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=strategy)(function).remote(argument)


def _is_file(path: str) -> bool:
    return Path(path).is_file()


def _store_problem(address: str) -> str:
    try:
        open_store(address).check()
    except StudyError as error:
        return str(error)
    return ""
