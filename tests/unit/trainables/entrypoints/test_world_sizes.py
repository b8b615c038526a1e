"""One, two or three processes with the same joint batch: the same loss curve, weights and scores up to rounding."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn import functional as F

from trainables.aux_tasks.contrast_eval.config import Config as ContrastEval
from trainables.aux_tasks.kt_mmd.config import Config as KtMmd
from trainables.aux_tasks.lce.config import Config as Lce
from trainables.aux_tasks.mac.config import Config as Mac
from trainables.aux_tasks.mdc_cas.config import Config as MdcCas
from trainables.aux_tasks.oic.config import Config as Oic
from trainables.aux_tasks.refine.config import Config as Refine
from trainables.aux_tasks.video_cls.config import Config as VideoCls
from trainables.data.synthetic.config import Config as Synthetic
from trainables.detectors.clean_net.config import Config as CleanNet
from trainables.detectors.clean_net.config import Gen, Sel
from trainables.detectors.clean_net.config import Optim as CleanOptim
from trainables.detectors.frame_level.settings import Loss as FrameLoss
from trainables.detectors.frame_level.settings import Optim as FrameOptim
from trainables.detectors.kt_mgfn.config import Base, Brm, Config, Data, Ktm, Mdcm, Optim
from trainables.detectors.pbrnet.config import Config as PbrNetConfig
from trainables.detectors.pbrnet.settings import Clip, Match, Net
from trainables.detectors.pbrnet.settings import Optim as PbrNetOptim
from trainables.detectors.pdan.config import Config as Pdan
from trainables.detectors.r_c3d.config import Config as RC3dConfig
from trainables.detectors.r_c3d.settings import Anchors, Roi, Rpn, Trunk, Window
from trainables.detectors.r_c3d.settings import Optim as RC3dOptim
from trainables.detectors.sp_tad.config import Config as SpTadConfig
from trainables.detectors.sp_tad.settings import Head, Soi
from trainables.detectors.sp_tad.settings import Optim as SpTadOptim
from trainables.detectors.untrimmed_net.config import Cls, Warmup
from trainables.entrypoints.detection import DetectionTrial
from trainables.entrypoints.draws import JointDraws
from trainables.entrypoints.workers import gather_list
from trainables.evaluation.detection.protocols import ActivityNet
from trainables.evaluation.frames.frame_map import FrameMapDense
from trainables.records import Batch

# 19 training videos: batches of 6 end with one input, so two of three processes have none
DATA = Synthetic(num_videos=30, num_classes=3, feat_dim=8, trimmed_per_class=3)
PROTOCOL = ActivityNet((0.3, 0.5))
FRAMES = FrameMapDense()
ROI_TASKS: dict[str, Any] = {"lce": Lce(), "mac": Mac(), "refine": Refine()}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    # means over valid frames, and over inputs
    "pdan": (
        Pdan(width=16, blocks=2, loss=FrameLoss("shares"), optim=FrameOptim(lr=5e-3, epochs=4, batch_size=6)),
        {},
    ),
    "kt_mgfn": (
        Config(
            data=Data(length=32),
            base=Base(width=16, dropout=0.3),
            mdcm=Mdcm((1, 2)),
            ktm=Ktm(enabled=True),
            brm=Brm(width=8),
            optim=Optim(epochs1=2, epochs2=2, lr1=5e-3, lr2=5e-4, batch_size=6),
        ),
        # means over inputs, over the segments of all of them, and a distance of all of them
        {"mdc_cas": MdcCas(), "oic": Oic(), "contrast_eval": ContrastEval(), "kt_mmd": KtMmd()},
    ),
    "clean_net": (
        CleanNet(
            cls=Cls(dropout=0.3),
            gen=Gen(width=16),
            sel=Sel(positive_score=-0.5),  # so that even an untrained classifier finds segments
            warmup=Warmup(lr=5e-3, epochs=2),
            optim=CleanOptim(lr=1e-3, epochs=3, lr_step=4, batch_size=6),
        ),
        {},
    ),
    "r_c3d": (
        RC3dConfig(
            anchors=Anchors(scales=(4.0, 8.0, 12.0)),
            rpn=Rpn(width=16),
            roi=Roi(batch=24),
            trunk=Trunk(width=16, layers=2, dropout=0.5),
            optim=RC3dOptim(optimizer="adam", lr=2e-3, epochs=4, batch_size=6),
            window=Window(length=48, stride_train=48, stride_test=48),
        ),
        ROI_TASKS,
    ),
    "pbrnet": (
        PbrNetConfig(
            clip=Clip(cells=32, train_stride=32, test_stride=32),
            net=Net(width=8, roi_width=12),
            match=Match(cpd_tiou=0.3, rpd_tiou=0.3, fgd_tiou=0.3),  # so low that every step has positives
            optim=PbrNetOptim(lr=2e-3, epochs=4, batch_size=6),
        ),
        ROI_TASKS,
    ),
    "sp_tad": (
        SpTadConfig(
            clip_length=64,
            train_stride=64,
            width=16,
            num_heads=2,
            num_proposals=8,
            soi=Soi(resolution=4),
            head=Head(attention_heads=2, dim_dynamic=8, ffn=32),
            optim=SpTadOptim(lr=1e-3, epochs=4, batch_size=6),
        ),
        {**ROI_TASKS, "video_cls": VideoCls()},
    ),
}
#: Its anchors end with frames: in float32 rounding decides on which side, and the difference then grows.
DOUBLE = {"pbrnet"}


def _run(name: str, root: Path, rank: int, world_size: int) -> dict[str, Any]:
    detector, tasks = CASES[name]
    protocol = FRAMES if getattr(detector, "answers", "") == "frame_scores" else PROTOCOL
    run = DetectionTrial(
        detector=detector,
        tasks=tasks,
        dataset=DATA,
        protocol=protocol,
        seed=0,
        data_root=root,
        rank=rank,
        world_size=world_size,
    )
    if name in DOUBLE:
        run._modules.double()
        run._modules["detector"].register_forward_pre_hook(_double)
    losses = [dict(run.train_epoch()) for _ in range(run.num_epochs)]
    # a bias before a softmax over time has no gradient but rounding, which Adam makes as large as any other
    own = run._modules.named_parameters()
    weights = {n: float(p.detach().double().norm()) for n, p in own if not n.endswith("heads.attention.bias")}
    return {"losses": losses, "weights": weights, "scores": dict(run.score_select(detector, protocol))}


def _double(_: Any, inputs: tuple[Batch]) -> tuple[Batch]:
    (batch,) = inputs
    assert batch.feats is not None
    return (dataclasses.replace(batch, feats=batch.feats.double()),)


def _process(rank: int, root: Path) -> None:
    """What each of three processes does; the third has no part in the group of two."""
    torch.set_num_threads(1)
    for world_size in (3, 2):
        if rank >= world_size:
            continue
        rendezvous = f"file://{root / f'rendezvous{world_size}'}"
        dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=world_size)
        for name in CASES:
            found = _run(name, root, rank, world_size)
            (root / f"{name}.{world_size}.{rank}.json").write_text(json.dumps(found))
        if world_size == 2 and rank == 1:
            return  # leaves without a word: the other one must learn of it
        if world_size == 2:
            (root / "left.txt").write_text(_after_the_other_left(root))
        dist.destroy_process_group()


def _after_the_other_left(root: Path) -> str:
    try:
        _run("kt_mgfn", root, 0, 2)
    except ConnectionError as error:
        return str(error)
    return "nothing was noticed"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    DATA.prepare(folder)
    mp.spawn(_process, args=(folder,), nprocs=3)
    return folder


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("name", CASES)
def test_the_loss_curve_does_not_depend_on_the_number_of_processes(name: str, world_size: int, root: Path) -> None:
    alone = _run(name, root, 0, 1)
    assert len(alone["losses"]) >= 4
    assert alone["losses"][-1]["loss"] != alone["losses"][0]["loss"]
    for rank in range(world_size):
        found = json.loads((root / f"{name}.{world_size}.{rank}.json").read_text())
        for ours, theirs in zip(alone["losses"], found["losses"], strict=True):
            assert theirs == pytest.approx(ours, rel=2e-5, abs=5e-6)
        assert found["weights"] == pytest.approx(alone["weights"], rel=1e-4)
        assert name != "clean_net" or min(losses["num_positives"] for losses in found["losses"][2:]) > 1
        assert found["scores"] == pytest.approx(alone["scores"], abs=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_every_process_has_the_same_losses_and_scores_to_the_bit(name: str, root: Path) -> None:
    first, *others = [(root / f"{name}.3.{rank}.json").read_text() for rank in range(3)]
    assert others == [first, first]


def test_a_process_that_is_gone_is_no_failure_of_the_others(root: Path) -> None:
    assert (root / "left.txt").read_text().startswith("a process of the trial's group is gone: ")


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer"), ConnectionError),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), torch.OutOfMemoryError),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"), RuntimeError),
    ],
)
def test_memory_that_an_exchange_does_not_get_is_ones_own_failure(
    error: Exception, seen: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exchange(*_: Any) -> None:
        raise error

    monkeypatch.setattr(dist, "all_gather_object", exchange)
    with pytest.raises(seen) as caught:
        gather_list([1], 2)
    assert type(caught.value) is seen


def _drawn(rank: int, world_size: int, own: int, what: str) -> torch.Tensor:
    draws = JointDraws(torch.Generator().manual_seed(5), rank, world_size)
    with draws.of(own, 5):
        ones = torch.ones(own, 3, 4)
        if what == "dropout":
            return F.dropout(F.dropout(ones, 0.4), 0.2)
        return torch.rand(own, 2) + torch.rand((own, 2), device="cpu")


@pytest.mark.parametrize("what", ["dropout", "rand"])
def test_rows_of_a_joint_draw_are_shared_out(what: str) -> None:
    alone = _drawn(0, 1, 5, what)
    assert len(set(alone.flatten().tolist())) > 1
    for world_size in (2, 3, 7):
        for rank in range(min(world_size, 5)):
            rows = alone[rank::world_size]
            assert torch.equal(_drawn(rank, world_size, len(rows), what), rows)


def test_one_process_draws_what_torch_draws() -> None:
    torch.manual_seed(5)
    ones = torch.ones(5, 3, 4)
    assert torch.equal(F.dropout(F.dropout(ones, 0.4), 0.2), _drawn(0, 1, 5, "dropout"))


def test_tensors_that_are_not_the_inputs_draw_from_the_global_generator() -> None:
    with JointDraws(torch.Generator().manual_seed(5), 0, 2).of(2, 4):
        regions = torch.ones(9, 3)
        torch.manual_seed(1)
        first = F.dropout(regions, 0.5)
        assert torch.equal(F.dropout(regions[:2], 0.0), regions[:2])
        assert torch.equal(F.dropout(regions[:2], 0.5, training=False), regions[:2])
    torch.manual_seed(1)
    assert torch.equal(first, F.dropout(regions, 0.5))
