"""The contrast score as a task: what it judges, whom it trains, how it rescores."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.aux_tasks.contrast_eval.config import Config
from trainables.aux_tasks.contrast_eval.judge import judge_segments, window_snippets
from trainables.aux_tasks.contrast_eval.rescoring import contrast_of_detections, rescored
from trainables.aux_tasks.contrast_eval.task import STORED
from trainables.data.synthetic.config import Config as Synthetic
from trainables.detections import Detections
from trainables.detectors.clean_net.config import Config as CleanNet
from trainables.detectors.clean_net.config import Gen, Optim
from trainables.detectors.kt_mgfn.config import Base, Brm, Data, Mdcm
from trainables.detectors.kt_mgfn.config import Config as KtMgfn
from trainables.detectors.kt_mgfn.config import Optim as KtOptim
from trainables.detectors.untrimmed_net.config import Warmup
from trainables.entrypoints.detection import DetectionTrial
from trainables.evaluation.detection.protocols import ActivityNet
from trainables.layers.edgeness import edgeness
from trainables.losses.contrast import contrast_parts, contrast_score
from trainables.records import Batch, Outputs, RawOutput, SegmentView

PSI = [0.05, 0.10, 0.20, 0.80, 0.95, 0.90, 0.70, 0.30, 0.15, 0.08, 0.04, 0.02]
#: Contrast scores of segments of PSI, worked out by hand.
GOLDEN = {(3.0, 7.0): 0.868917, (2.0, 8.0): 0.951806, (8.0, 12.0): -0.164583}


def build(config: Config) -> Any:
    torch.manual_seed(0)
    return config.build(host=None, feat_channels=4, num_classes=3)


def host(seconds_per_sample: float = 0.5) -> tuple[Outputs, Batch]:
    """Two inputs of 12 samples; the logits of class 1 are those of PSI."""
    generator = torch.Generator().manual_seed(0)
    valid = torch.ones(2, 12, dtype=torch.bool)
    logits = torch.log(torch.tensor([[(1 - p) / 2, p, (1 - p) / 2] for p in PSI], dtype=torch.float64)).T
    view = SegmentView(
        torch.tensor([0, 0, 1]),
        torch.tensor([[3.0, 7.0], [2.0, 8.0], [8.0, 12.0]], dtype=torch.float64, requires_grad=True),
        torch.tensor([1, 1, 1]),
        torch.tensor([0.9, 0.8, 0.1]),
    )
    outputs = Outputs(
        valid_mask=valid,
        feats=torch.randn(2, 4, 12, generator=generator).requires_grad_(),
        cas_logits=logits.expand(2, 3, 12).clone().requires_grad_(),
        segments=view,
    )
    batch = Batch(("a", "b"), valid, torch.full((2,), seconds_per_sample), torch.zeros(2), torch.eye(2, 3))
    return outputs, batch


def test_the_window_is_the_nearest_odd_number() -> None:
    assert [window_snippets(3.5, s) for s in (0.5, 16 / 30, 0.25, 1.0, 3.5, 60.0)] == [7, 7, 13, 3, 3, 3]


@given(st.floats(0.5, 20), st.floats(0.05, 2))
def test_no_other_odd_number_is_nearer(window_s: float, seconds_per_sample: float) -> None:
    found = window_snippets(window_s, seconds_per_sample)
    exact = window_s / seconds_per_sample
    assert found % 2 == 1
    assert all(abs(found - exact) <= abs(other - exact) + 1e-9 for other in range(3, 500, 2))


def test_every_input_is_judged_with_its_own_window() -> None:
    scp = torch.rand(3, 2, 15, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    valid = torch.arange(15) < torch.tensor([[15], [11], [15]])
    scp = scp * valid[:, None]
    index, labels = torch.tensor([2, 0, 1, 1, 0]), torch.tensor([1, 0, 0, 1, 0])
    ends = torch.tensor([[1.2, 7.7], [3.0, 9.5], [0.0, 6.0], [4.4, 9.9], [6.0, 8.0]], dtype=torch.float64)
    windows = [7, 3, 5]
    found = judge_segments(scp, valid, index, labels, ends, windows=windows, ratio=0.3)
    for i in range(5):
        sequence, mask = scp[index[i], labels[i]][None], valid[index[i]][None]
        edges = edgeness(sequence, mask, window=windows[int(index[i])])
        parts = contrast_parts(sequence, edges, ends[i : i + 1, :1], ends[i : i + 1, 1:], ratio=0.3)
        assert float(found[i]) == pytest.approx(float(contrast_score(parts)))


def test_the_loss_judges_the_best_segments_by_the_host_s_scores() -> None:
    outputs, batch = host()
    every = build(Config(cas="host")).losses(outputs, batch)["contrast_eval"]
    assert every.item() == pytest.approx(np.mean([2.0 - s for s in GOLDEN.values()]), abs=1e-6)
    best = build(Config(cas="host", top=1)).losses(outputs, batch)["contrast_eval"]
    assert best.item() == pytest.approx(2.0 - (GOLDEN[3.0, 7.0] + GOLDEN[8.0, 12.0]) / 2, abs=1e-6)


def test_the_window_follows_the_host_s_stride() -> None:
    outputs, batch = host(seconds_per_sample=1.0)
    coarse = build(Config(cas="host", window_s=7.0)).losses(outputs, batch)["contrast_eval"]
    assert coarse.item() == pytest.approx(np.mean([2.0 - s for s in GOLDEN.values()]), abs=1e-6)
    other = build(Config(cas="host", window_s=3.5)).losses(outputs, batch)["contrast_eval"]
    assert abs(other.item() - coarse.item()) > 1e-3


def reached(outputs: Outputs) -> set[str]:
    """Views of the host that got a gradient, which goes with this."""
    assert outputs.segments is not None
    leaves = {"feats": outputs.feats, "cas_logits": outputs.cas_logits, "segments": outputs.segments.ends_grid}
    found = {name for name, leaf in leaves.items() if leaf is not None and leaf.grad is not None and leaf.grad.any()}
    for leaf in leaves.values():
        assert leaf is not None
        leaf.grad = None
    return found


def test_the_verdict_reaches_the_host_through_its_segments_alone() -> None:
    outputs, batch = host()
    build(Config(cas="host")).losses(outputs, batch)["contrast_eval"].backward()
    assert outputs.segments is not None
    ends = outputs.segments.ends_grid.grad
    assert ends is not None
    assert ends.abs().sum(dim=1).min() > 0
    assert reached(outputs) == {"segments"}
    build(Config()).losses(outputs, batch)["contrast_eval"].backward()
    assert reached(outputs) == {"segments"}


def test_the_own_classifier_learns_from_its_own_loss_and_trains_the_features() -> None:
    outputs, batch = host()
    task = build(Config())
    losses = task.losses(outputs, batch)
    assert losses.keys() == Config().loss_weights().keys()
    losses["contrast_eval"].backward()
    assert all(p.grad is None for p in task.parameters())
    assert reached(outputs) == {"segments"}
    task.losses(outputs, batch)["contrast_eval_class"].backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in task.parameters())
    assert reached(outputs) == {"feats"}


def test_no_segments_no_loss() -> None:
    outputs, batch = host()
    view = SegmentView(torch.zeros(0).long(), torch.zeros(0, 2), torch.zeros(0).long(), torch.zeros(0))
    losses = build(Config()).losses(dataclasses.replace(outputs, segments=view), batch)
    assert losses["contrast_eval"].item() == 0.0
    assert losses["contrast_eval_class"].item() == pytest.approx(np.log(3), abs=0.05)


def test_what_is_missing_is_said() -> None:
    outputs, batch = host()
    without = dataclasses.replace(outputs, cas_logits=None)
    build(Config()).losses(without, batch)
    with pytest.raises(ValueError, match=r"cas_logits; set tasks.contrast_eval.cas to own"):
        build(Config(cas="host")).losses(without, batch)
    with pytest.raises(ValueError, match="needs the host's feats and segments"):
        build(Config()).losses(dataclasses.replace(outputs, segments=None), batch)


def detections(segments_s: list[list[float]], labels: list[int], video: list[int] | None = None) -> Detections:
    num = len(labels)
    return Detections(
        ("a", "b"),
        np.asarray(video or [0] * num, np.int64),
        np.asarray(segments_s, np.float64),
        np.asarray(labels, np.int64),
        np.linspace(0.9, 0.5, num),
    )


def stored(video_id: str, psi: list[float], start_s: float = 0.0) -> RawOutput:
    scp = torch.zeros(2, len(psi))
    scp[1] = torch.tensor(psi)
    return RawOutput(video_id, start_s, 0.5, len(psi), 100.0, {STORED: scp})


def test_detections_are_judged_in_their_own_video_and_class() -> None:
    found = detections([[1.5, 3.5], [4.0, 6.0], [1.5, 3.5], [11.0, 14.0]], [1, 1, 0, 1], [0, 0, 0, 1])
    scores = contrast_of_detections(
        found, [stored("a", PSI), stored("b", PSI, start_s=10.0)], name=STORED, window_s=3.5, ratio=0.25
    )
    expected = [GOLDEN[3.0, 7.0], GOLDEN[8.0, 12.0], 0.0, GOLDEN[2.0, 8.0]]
    assert scores.tolist() == pytest.approx(expected, abs=1e-6)


def test_of_several_windows_the_one_that_shows_most_judges() -> None:
    found = detections([[1.5, 3.5], [6.5, 7.0]], [1, 1])
    raw = [stored("a", [0.9] * 6), stored("a", PSI), stored("a", [0.3] * 12, start_s=4.0)]
    scores = contrast_of_detections(found, raw, name=STORED, window_s=3.5, ratio=0.25)
    # the second is in the last window alone: flat, so 0.3 inside, no edges, 0.3 outside on both sides
    assert scores.tolist() == pytest.approx([GOLDEN[3.0, 7.0], 0.0], abs=1e-6)


def test_gate_and_sum() -> None:
    found = dataclasses.replace(detections([[0, 1]] * 3, [1] * 3), scores=np.asarray([0.8, 0.8, -0.8]))
    contrast = np.asarray([0.5, 0.75, 0.75])
    gate = 1 / (1 + np.exp(-1.0))
    gated = rescored(found, contrast, how="gate", kappa=4.0, eta=0.5)
    assert gated.scores.tolist() == pytest.approx([0.4, 0.8 * gate, -0.8 / gate])
    added = rescored(found, contrast, how="add", kappa=4.0, eta=0.5)
    assert added.scores.tolist() == pytest.approx([1.05, 1.175, -0.425])


def test_rescoring_reads_what_was_stored() -> None:
    outputs, _ = host()
    config = Config(cas="host", rescore="add", eta=1.0)
    task = build(config)
    scp = task.raw(outputs)[STORED]
    assert scp[0, 1].tolist() == pytest.approx(PSI)
    found = detections([[1.5, 3.5]], [1])
    raw = [RawOutput("a", 0.0, 0.5, 12, 6.0, {STORED: scp[0]})]
    assert task.rescore(found, raw, config).scores.tolist() == pytest.approx([0.9 + GOLDEN[3.0, 7.0]], abs=1e-6)
    assert task.rescore(found, [], Config(rescore="none")) is found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    DATA.prepare(folder)
    return folder


DATA = Synthetic(num_videos=30, num_classes=3, feat_dim=8)
HOSTS: dict[str, Any] = {
    "kt_mgfn": KtMgfn(
        data=Data(length=32),
        base=Base(width=16),
        mdcm=Mdcm((1,)),
        brm=Brm(width=8),
        optim=KtOptim(epochs1=1, epochs2=1, grad_clip=1e6),
    ),
    "clean_net": CleanNet(
        gen=Gen(width=8), warmup=Warmup(epochs=1), optim=Optim(epochs=1, batch_size=4, grad_clip=1e6)
    ),
}


@pytest.mark.parametrize("name", HOSTS)
def test_beside_a_real_host(name: str, root: Path) -> None:
    def trial(tasks: dict[str, Any]) -> DetectionTrial:
        return DetectionTrial(
            detector=HOSTS[name], tasks=tasks, dataset=DATA, protocol=ActivityNet((0.5,)), seed=0, data_root=root
        )

    beside = trial({"contrast_eval": Config()})
    for _ in range(2):
        losses = beside.train_epoch()
    assert losses["contrast_eval_class"] > 0
    plain, idle = trial({}), trial({"contrast_eval": Config(weight=0.0, cas_weight=0.0, rescore="none")})
    for run in (plain, idle):
        run.train_epoch()
        run.train_epoch()
    alone, watched = (run.detections("select", HOSTS[name]) for run in (plain, idle))
    assert np.array_equal(alone.scores, watched.scores)
    changed = beside.detections("select", HOSTS[name])
    assert len(changed.scores) > 0
    assert np.isfinite(changed.scores).all()
