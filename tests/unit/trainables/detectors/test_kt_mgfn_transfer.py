"""Knowledge transfer: the bank, its loss, and what it does to the recipe."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.detectors.kt_mgfn.config import Base, Brm, Config, Data, Ktm, Loss, Train
from trainables.losses.mmd import mean_squared_distance, mmd2
from trainables.losses.transfer import TransferLoss
from trainables.records import Batch

SMALL = Config(data=Data(length=24), base=Base(width=8, dropout=0.0), brm=Brm(enabled=False), ktm=Ktm(enabled=True))


def clips(labels: list[int], num_classes: int = 3, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    num = len(labels)
    return Batch(
        video_ids=tuple(f"c{i}" for i in range(num)),
        valid_mask=torch.ones(num, 12, dtype=torch.bool),
        seconds_per_sample=torch.full((num,), 0.5, dtype=torch.float64),
        start_s=torch.zeros(num, dtype=torch.float64),
        video_labels=torch.nn.functional.one_hot(torch.tensor(labels), num_classes).float(),
        feats=torch.randn(num, 6, 12, generator=generator),
    )


def build(config: Config = SMALL) -> Any:
    torch.manual_seed(0)
    return config.build(feat_dim=6, num_classes=3)


def begin(model: Any, batch: Batch) -> None:
    model.begin_phase("classify", lambda split, sampling: iter([batch] if split == "trimmed" else []))


def filled(num_trimmed: int = 8, scope: Any = "class") -> tuple[TransferLoss, Tensor]:
    module = TransferLoss(num_trimmed=num_trimmed, kernel="multi5", scope=scope)
    generator = torch.Generator().manual_seed(3)
    bank = torch.randn(6, 2, 4, generator=generator, dtype=torch.float64)
    module.fill(bank, torch.eye(3).repeat(2, 1)[:, [0, 1, 2]])
    return module, bank


def test_the_loss_is_the_mean_over_classes_and_pooled_vectors() -> None:
    module, bank = filled()
    videos = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    labels = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    values = []
    for p in range(2):
        used = torch.cat([bank[[0, 3]], bank[[1, 4]], videos])[:, p]
        width = mean_squared_distance(used)
        values += [
            mmd2(bank[[0, 3], p], videos[:2, p], bandwidth=width),
            mmd2(bank[[1, 4], p], videos[2:, p], bandwidth=width),
        ]
    assert float(module(videos, labels)) == pytest.approx(float(torch.stack(values).mean()), abs=1e-12)


def test_over_the_batch_all_clips_stand_against_all_videos() -> None:
    module, bank = filled(scope="batch")
    videos = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    value = module(videos, torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    clips_of_both = bank[[0, 3, 1, 4]]
    expected = []
    for p in range(2):
        width = mean_squared_distance(torch.cat([clips_of_both, videos])[:, p])
        expected.append(mmd2(clips_of_both[:, p], videos[:, p], bandwidth=width))
    assert float(value) == pytest.approx(float(torch.stack(expected).mean()), abs=1e-12)


def test_a_step_along_the_gradient_brings_videos_nearer() -> None:
    module, bank = filled()
    videos = (bank[:3] + 2.0).clone().requires_grad_()
    before = module(videos, torch.eye(3))
    before.backward()
    assert videos.grad is not None
    assert float(videos.grad.abs().sum()) > 0
    with torch.no_grad():
        after = module(videos - 0.5 * videos.grad / videos.grad.norm(), torch.eye(3))
    assert float(after) < float(before)


def test_no_more_clips_than_asked_for_are_drawn() -> None:
    module, _ = filled(num_trimmed=1)
    torch.manual_seed(0)
    drawn = {int(rows[0]) for _ in range(40) for rows, _ in module._draw(torch.tensor([[1.0, 0.0, 0.0]]))}
    assert drawn == {0, 3}


def test_classes_without_clips_are_passed_over() -> None:
    module = TransferLoss(num_trimmed=2, kernel="single", scope="class")
    module.fill(torch.randn(2, 1, 4), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    videos = torch.randn(1, 1, 4, requires_grad=True)
    value = module(videos, torch.tensor([[0.0, 1.0]]))
    value.backward()
    assert float(value) == 0.0
    assert videos.grad is not None


def test_an_empty_bank_is_said() -> None:
    module = TransferLoss(num_trimmed=2, kernel="single", scope="class")
    with pytest.raises(ValueError, match="the bank is empty"):
        module(torch.randn(1, 1, 4), torch.ones(1, 2))
    with pytest.raises(ValueError, match="has no trimmed clip"):
        module.fill(torch.zeros(0, 1, 4), torch.zeros(0, 2))


def test_the_bank_holds_what_the_trimmed_phase_learnt_and_travels_with_the_weights() -> None:
    model, data = build(), clips([0, 1, 2, 0])
    model.eval()
    expected = model(data).terms["pooled"].detach()
    model.train()
    begin(model, data)
    assert model.training
    state = model.state_dict()
    assert torch.equal(state["transfer.bank"], expected)
    again = build()
    again.load_state_dict(state)
    torch.manual_seed(1)
    first = model.losses(model(data), data, ("kt",))["kt"]
    torch.manual_seed(1)
    assert torch.equal(again.losses(again(data), data, ("kt",))["kt"], first)
    assert first.requires_grad


@pytest.mark.parametrize("keep", [True, False])
def test_the_classifier_starts_from_the_clips_or_anew(keep: bool) -> None:
    model = build(Config(base=SMALL.base, brm=SMALL.brm, ktm=Ktm(enabled=True, init_from_trimmed=keep)))
    before = {name: value.clone() for name, value in model.stages.state_dict().items()}
    begin(model, clips([0, 1, 2]))
    same = [torch.equal(value, before[name]) for name, value in model.stages.state_dict().items()]
    assert all(same) if keep else not any(same)


def test_other_phases_leave_the_bank_alone() -> None:
    model = build()
    model.begin_phase("joint", lambda split, sampling: iter([clips([0, 1, 2])]))
    assert model.state_dict()["transfer.bank"].numel() == 0


def test_the_recipe() -> None:
    phases = SMALL.phases()
    assert [p.name for p in phases] == ["trimmed", "classify", "joint"]
    assert [p.split for p in phases] == ["trimmed", "train", "train"]
    assert phases[0].sampling is not None
    assert phases[0].sampling.length == 32
    assert phases[0].loss_weights == {"class": 1.0}
    assert phases[1].loss_weights == {"class": 1.0, "kt": 10.0}
    full = Config(ktm=Ktm(enabled=True), loss=Loss(beta=3.0)).phases()
    assert full[2].loss_weights == {"class": 1.0, "kt": 3.0, "oic": 10.0}
    assert full[0].frozen == ("regressor.",)
    staged = Config(ktm=Ktm(enabled=True), train=Train(mode="stagewise")).phases()
    assert staged[2].loss_weights == {"oic": 10.0}


def test_without_it_nothing_is_left_behind() -> None:
    model = build(Config(base=SMALL.base, brm=SMALL.brm, ktm=Ktm(enabled=False)))
    assert not [name for name in model.state_dict() if name.startswith("transfer")]
    with pytest.raises(ValueError, match="no loss kt; this configuration has class"):
        model.losses(model(clips([0])), clips([0]), ("kt",))
