"""A detector that answers with frame scores is trained, scored, resumed and recorded like any other."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.data.synthetic.config import Config as Synthetic
from trainables.detections import FrameScores
from trainables.detectors.frame_level.settings import Loss, Optim
from trainables.detectors.pdan.config import Config as Pdan
from trainables.detectors.super_events.config import Config as SuperEvents
from trainables.detectors.tgm.config import Config as Tgm
from trainables.detectors.tgm.config import Layers
from trainables.entrypoints.detection import DetectionTrial
from trainables.entrypoints.raw_outputs import read_raw
from trainables.evaluation.charades.official import FrameMapCharades25
from trainables.evaluation.files.frame_scores import read_frame_scores
from trainables.evaluation.frames.frame_map import FrameMapDense

DATA = Synthetic(num_videos=24, num_classes=3, feat_dim=8, core_strength=6.0)
PROTOCOL = FrameMapDense()
DETECTORS: dict[str, Any] = {
    "super_events": SuperEvents(dropout=0.2, optim=Optim(lr=3e-2, epochs=25, batch_size=4)),
    "tgm": Tgm(layers=Layers(channels=4, num_kernels=4), hidden=32, optim=Optim(lr=5e-3, epochs=30, batch_size=4)),
    "pdan": Pdan(width=32, blocks=3, dropout=0.2, optim=Optim(lr=5e-3, epochs=25, batch_size=4)),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    DATA.prepare(folder)
    return folder


def trial(root: Path, name: str, dataset: Any = DATA, protocol: Any = PROTOCOL) -> DetectionTrial:
    return DetectionTrial(
        detector=DETECTORS[name], tasks={}, dataset=dataset, protocol=protocol, seed=0, data_root=root
    )


def train(run: DetectionTrial, epochs: int | None = None) -> list[dict[str, float]]:
    return [dict(run.train_epoch()) for _ in range(epochs or run.num_epochs - run.epoch)]


@pytest.mark.parametrize("name", DETECTORS)
def test_a_handful_of_videos_is_learned(name: str, root: Path) -> None:
    run = trial(root, name, dataclasses.replace(DATA, overfit=True))
    before = run.score_select(DETECTORS[name], PROTOCOL)["frame_map"]
    history = train(run)
    assert history[-1]["summed"] < history[0]["summed"] / 4
    after = run.score_select(DETECTORS[name], PROTOCOL)["frame_map"]
    assert before < 0.5
    assert after > 0.95


def test_permuted_labels_teach_nothing(root: Path) -> None:
    run = trial(root, "pdan", dataclasses.replace(DATA, permute_labels=True))
    train(run)
    frames = [raw.num_samples for raw in run.raw_outputs("select")]
    truth = run._data.ground_truth("select")
    share = (truth.segments_s[:, 1] - truth.segments_s[:, 0]).sum() / 0.5 / sum(frames) / 3
    assert run.score_select(DETECTORS["pdan"], PROTOCOL)["frame_map"] < share + 0.05, "what any order of frames gets"


def test_a_resumed_trial_is_equal_to_the_bit(root: Path, tmp_path: Path) -> None:
    whole, first, second = (trial(root, "tgm") for _ in range(3))
    history = train(whole, 4)
    train(first, 2)
    first.save(tmp_path / "checkpoint.pt")
    torch.rand(100)
    second.load(tmp_path / "checkpoint.pt")
    assert train(second, 2) == history[2:]


@pytest.mark.parametrize("protocol", [PROTOCOL, FrameMapCharades25(on_empty_class="exclude", fps=10.0)])
def test_what_a_trial_leaves_behind(root: Path, tmp_path: Path, protocol: Any) -> None:
    """Scores, resamples and answers can be had again from the files alone."""
    run = trial(root, "super_events", protocol=protocol)
    train(run, 1)
    metrics = run.finish(tmp_path, {"": DETECTORS["super_events"]})
    assert set(metrics) == {f"test/{name}" for name in protocol.metric_names()}
    matches = protocol.load_matches(tmp_path / "matches_test.arrow")
    assert {f"test/{name}": value for name, value in protocol.score(matches).items()} == pytest.approx(metrics)
    names = run._data.class_names
    stored = read_frame_scores(tmp_path / "frame_scores_test.parquet", names)
    found = run.detections("test", DETECTORS["super_events"])
    assert isinstance(found, FrameScores)
    assert np.array_equal(stored.scores, found.scores)
    assert np.array_equal(np.asarray(stored.times_s), np.asarray(found.times_s))
    assert not list(tmp_path.glob("detections_*"))
    assert json.loads((tmp_path / "frame_runs_test.json").read_text())["results"].keys() == set(found.video_ids)
    per_class = json.loads((tmp_path / "per_class_test.json").read_text())
    assert set(per_class) <= set(names)
    assert len(json.loads((tmp_path / "truth_test.json").read_text())["videos"]) == len(found.video_ids)
    again = {raw.video_id: raw.tensors["frame_logits"] for raw in read_raw(tmp_path / "raw_select.parquet")}
    assert again.keys() == {raw.video_id for raw in run.raw_outputs("select")}


def test_samples_are_scored_where_they_were_labelled(root: Path) -> None:
    """The dense grid of features is that of the labels a detector learns from."""
    run = trial(root, "super_events", dataclasses.replace(DATA, overfit=True))
    matches = PROTOCOL.match(*_answers(run, "train"))
    batches = run._data.batches(
        "train", sampling=DETECTORS["pdan"].sampling(), batch_size=50, supervision="segments", seed=0, epoch=None
    )
    labels = torch.cat([batch.frame_labels.sum(dim=1) for batch in batches])
    assert matches.num_gt.tolist() == labels.int().tolist()


def _answers(run: DetectionTrial, split: str) -> Any:
    from trainables.evaluation.frames.scores import truth_for

    truth = truth_for(PROTOCOL, run._data.ground_truth(split), run._data.durations_s())
    return run.detections(split, DETECTORS["super_events"]), truth


def test_shares_of_two_losses_are_trained_on(root: Path) -> None:
    detector = dataclasses.replace(DETECTORS["pdan"], loss=Loss("shares", 0.25))
    run = DetectionTrial(detector=detector, tasks={}, dataset=DATA, protocol=PROTOCOL, seed=0, data_root=root)
    losses = train(run, 1)[0]
    assert losses["loss"] == pytest.approx(0.75 * losses["loc"] + 0.25 * losses["cls"])
