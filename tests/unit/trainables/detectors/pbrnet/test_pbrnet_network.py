"""The network of PBRNet: shapes, equivalences, gradient flow, and what its public release has wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from pbrnet_batches import SMALL, batch, lenient, network
from torch import Tensor
from torch.nn import functional as F

from tadtune.spec.errors import StudyError
from tadtune.spec.parse import parse_study
from trainables.aux_tasks.lce.config import Config as Lce
from trainables.aux_tasks.mac.config import Config as Mac
from trainables.aux_tasks.refine.config import Config as Refine
from trainables.detectors.pbrnet.anchors import ANCHOR_FRAMES, pyramid_anchors
from trainables.detectors.pbrnet.config import Config
from trainables.detectors.pbrnet.frame_level import BoundaryOffset
from trainables.detectors.pbrnet.model import PbrNet
from trainables.detectors.pbrnet.objectives import Step, boundary_loss, offset_loss, targets_of
from trainables.detectors.pbrnet.pyramids import CoarsePyramid, RefinedPyramid
from trainables.detectors.pbrnet.segments import at_frame_centres, decode_inside
from trainables.detectors.pbrnet.settings import Match, Net
from trainables.detectors.pbrnet.stem import FeatureBranch
from trainables.detectors.pbrnet.targets import LEFT_OUT, Instances
from trainables.entrypoints.draws import JointDraws
from trainables.layers.offsets import decode_centre_length, decode_ends

LOSSES = tuple(name for name, weight in Config().phases()[0].loss_weights.items() if weight)


@pytest.mark.parametrize("space", [3, 1])
def test_levels_have_the_published_shapes(space: int) -> None:
    coarse = CoarsePyramid(channels=1024, width=256, space=space, num_logits=21)
    refined = RefinedPyramid(width=256, space=space, num_logits=21)
    maps, offsets, logits = coarse(torch.zeros(1, 1024, 32, space, space))
    assert [tuple(x.shape) for x in maps] == [(1, 256, t, space, space) for t in (32, 16, 8, 4, 2, 1)]
    assert offsets.shape == (1, 142, 2)
    assert logits.shape == (1, 142, 21)
    finest, offsets, logits = refined(maps)
    assert finest.shape == (1, 256, 32, space, space)
    assert offsets.shape == (1, 142, 2)
    assert logits.shape == (1, 142, 21)
    for head, lengths in zip(refined.heads, ANCHOR_FRAMES, strict=True):
        assert head.offsets.weight.shape == (2 * len(lengths), 256, 3, space, space)
        assert head.logits.weight.shape == (21 * len(lengths), 256, 3, space, space)


def test_heads_answer_in_the_order_of_the_anchors() -> None:
    """A head whose output says (anchor of the cell, output) puts them beside the anchors of the cell."""
    coarse = CoarsePyramid(channels=4, width=4, space=1, num_logits=3)
    for head in coarse.heads:
        for conv in (head.offsets, head.logits):
            torch.nn.init.zeros_(conv.weight)
            conv.bias.data = torch.arange(len(conv.bias)).float()
    _, offsets, logits = coarse(torch.zeros(1, 4, 32, 1, 1))
    expected = [k for level, own in enumerate(ANCHOR_FRAMES) for _ in range(32 // 2**level) for k in range(len(own))]
    assert (offsets[0, :, 0] / 2).tolist() == expected
    assert (logits[0, :, 2] // 3).tolist() == expected


@pytest.mark.parametrize("space", [3, 1])
def test_boundary_offsets_are_a_convolution_over_gathered_frames(space: int) -> None:
    torch.manual_seed(0)
    module = BoundaryOffset(width=6, space=space).double()
    x = torch.randn(2, 6, 20, space, space, dtype=torch.float64)
    frame = torch.randint(0, 20, (2, 15))
    reach = torch.randint(0, 8, (2, 15))
    found = module(x, frame, reach)
    for b in range(2):
        for n in range(15):
            f, r = int(frame[b, n]), int(reach[b, n])
            zero = torch.zeros(6, space, space, dtype=torch.float64)
            picked = torch.stack([x[b, :, k] if 0 <= k < 20 else zero for k in (f - r, f, f + r)], dim=1)
            expected = F.conv3d(picked[None], module.conv.weight, module.conv.bias)
            assert found[b, n].item() == pytest.approx(expected.item(), abs=1e-12)


def test_features_are_stretched_between_the_centres_of_samples() -> None:
    """Sample j holds frames 8 j to 8 j + 7; between the centres of two samples frames go from one to the other."""
    torch.manual_seed(0)
    branch = FeatureBranch(channels=5, width=4).double()
    feats = torch.randn(1, 5, 32, 1, 1, dtype=torch.float64)
    x = torch.zeros(1, 5, 256, 1, 1, dtype=torch.float64)
    for frame in range(256):
        place = min(max((frame + 0.5) / 8 - 0.5, 0.0), 31.0)
        low, share = min(int(place), 30), place - min(int(place), 30)
        x[:, :, frame] = (1 - share) * feats[:, :, low] + share * feats[:, :, low + 1]
    x = torch.relu(branch.narrow(x))
    expected = branch.convs[1](torch.relu(branch.convs[0](x)))
    assert torch.allclose(branch(feats), expected, atol=1e-12)


def _reached(loss: Tensor, model: PbrNet) -> set[str]:
    """Groups of parameters that a loss pulls at."""
    model.zero_grad()
    loss.backward(retain_graph=True)
    names = {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    groups = set()
    for name in names:
        parts = name.split(".")
        is_head = len(parts) > 3 and parts[1] == "heads"
        groups.add(f"{parts[0]}.{parts[3] if is_head else parts[1]}" if parts[0] != "roi_trunk" else "roi_trunk")
    return groups


def test_each_loss_reaches_its_modules_and_no_other() -> None:
    model = lenient()
    outputs = model(batch())
    losses = model.losses(outputs, batch(), LOSSES)
    down, up = {"coarse.levels"}, {"coarse.levels", "refined.levels"}
    frames = up | {"frames.branch", "frames.upwards", "frames.mix"}
    expected = {
        "cpd_class": down | {"coarse.logits"},
        "cpd_offset": down | {"coarse.offsets"},
        "rpd_class": up | {"refined.logits"},
        "rpd_offset": up | {"refined.offsets"},
        "fgd_boundary": frames | {"frames.boundaries"},
        "fgd_offset": frames | {"frames.start_offset", "frames.end_offset"},
    }
    assert {name: _reached(loss, model) for name, loss in losses.items()} == expected
    assert outputs.rois is not None
    assert _reached(outputs.rois.feats.sum(), model) == {"roi_trunk"}


def test_each_step_starts_from_what_the_one_before_decoded() -> None:
    model = lenient()
    terms = {name: tensor.detach() for name, tensor in model(batch()).terms.items()}
    limit = torch.tensor([256, 208])
    coarse = decode_inside(pyramid_anchors(32), terms["cpd_offsets"], limit)
    assert torch.equal(terms["cpd_references"], pyramid_anchors(32).expand(2, -1, -1))
    assert torch.equal(terms["rpd_references"], coarse)
    refined = decode_inside(coarse, terms["rpd_offsets"], limit)
    assert torch.equal(terms["fgd_references"], at_frame_centres(refined, limit))
    outputs = model.eval()(batch())
    fine = decode_ends(terms["fgd_references"], terms["fgd_offsets"])
    assert torch.allclose(outputs.raw["segments"] * 8, fine, atol=1e-4)
    probs = terms["boundary_logits"].sigmoid()
    for b, n in ((0, 3), (0, 100), (1, 60), (1, 141)):
        start, end = fine[b, n].floor().clamp(min=0).long().tolist()
        last = int(limit[b]) - 1
        expected = [float(probs[b, 0, min(start, last)]), float(probs[b, 1, min(end, last)])]
        assert outputs.raw["boundary_probs"][b, n].tolist() == pytest.approx(expected, abs=1e-6)


def test_offsets_are_learnt_from_positives_that_were_not_rejected() -> None:
    """The release's mask is "positive or not rejected": negatives pull at the offsets, rejected positives as well."""
    predicted = torch.zeros(1, 4, 2, requires_grad=True)
    segments = torch.tensor([[[10.0, 30.0]]]).expand(1, 4, 2)
    for step in ("rpd", "fgd"):
        terms = {
            f"{step}_labels": torch.tensor([[2, 0, LEFT_OUT, 1]]),
            f"{step}_offsets": predicted,
            f"{step}_references": segments,
            f"{step}_matched": segments + torch.tensor([4.0, 8.0]),
        }
        predicted.grad = None
        loss = offset_loss(terms, step)
        loss.backward()
        assert predicted.grad is not None
        assert predicted.grad.abs().sum(dim=2).gt(0).tolist() == [[True, False, False, True]]
        # ends: 4 / 20 and 8 / 20; centre and length: 6 / 20 and ln(24 / 20)
        error = (0.2, 0.4) if step == "fgd" else (0.3, 0.1823215568)
        assert loss.item() == pytest.approx(sum(e**2 / 2 for e in error) / 2, abs=1e-7)


def test_the_frame_level_matches_segments_as_they_are() -> None:
    """The release reads start and end as centre and length once more: this perfect segment then has tIoU 0.499."""
    segments = torch.tensor([[[100.5, 200.5]]])
    step = Step(segments, torch.zeros(1, 1))
    found = targets_of({"fgd": step}, Instances(segments, torch.tensor([[3]])), Match(), torch.ones(1, 256) > 0)
    assert found["fgd_labels"].tolist() == [[3]]


def test_a_rejected_segment_takes_no_part_in_any_later_step() -> None:
    segment = torch.tensor([[[10.0, 20.0]]]).expand(1, 3, 2)
    background = {"cpd": [[0.0, 0.0, 0.0]], "rpd": [[0.98, 0.99, 0.5]], "fgd": [[0.5, 0.5, 0.995]]}
    steps = {name: Step(segment, torch.tensor(values)) for name, values in background.items()}
    found = targets_of(steps, Instances(segment[:, :1], torch.tensor([[1]])), Match(), torch.ones(1, 256) > 0)
    assert found["cpd_labels"].tolist() == [[1, 1, 1]]
    assert found["rpd_labels"].tolist() == [[1, LEFT_OUT, 1]]
    assert found["fgd_labels"].tolist() == [[1, LEFT_OUT, LEFT_OUT]]


def test_the_share_of_positive_regions_is_logged_and_not_trained_on() -> None:
    model = lenient()
    outputs = model(batch(valid=20))
    share = model.losses(outputs, batch(), ("positive_regions",))["positive_regions"]
    labels = outputs.rois.labels.tolist()
    taken = [label for label in labels if label != LEFT_OUT]
    assert 0 < len(taken) < len(labels)
    assert float(share) == pytest.approx(sum(label > 0 for label in taken) / len(taken))
    assert not share.requires_grad
    assert Config().phases()[0].loss_weights["positive_regions"] == 0


@pytest.mark.parametrize("instances", [((), ()), (((0.0, 0.1, 1),), ())])
def test_a_batch_without_positives_has_finite_losses(
    instances: tuple[tuple[tuple[float, float, int], ...], ...],
) -> None:
    """Means over an empty set are NaN in the release. The second batch has an instance that no segment comes near."""
    model = network().train()
    data = batch(instances)
    losses = model.losses(model(data), data, LOSSES)
    assert all(float(losses[name].detach()) == 0 for name in LOSSES if name != "fgd_boundary")
    assert 0 < float(losses["fgd_boundary"].detach()) < 10
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_means_over_shares_of_a_batch_add_up_to_the_joint_mean() -> None:
    """With the tasks beside it. Losses that are made of joint rows name no count."""
    model, data = lenient(), batch()
    configs: dict[str, Any] = {"lce": Lce(), "mac": Mac(), "refine": Refine()}
    tasks = {name: c.build(host=model, feat_channels=0, num_classes=3) for name, c in configs.items()}
    tasks["refine"].meet(tasks)

    def step(rank: int, world_size: int) -> tuple[dict[str, float], dict[str, float]]:
        own = dataclasses.replace(
            data,
            video_ids=data.video_ids[rank::world_size],
            valid_mask=data.valid_mask[rank::world_size],
            feats=data.feats[rank::world_size],  # type: ignore[index]
            segments=data.segments[rank::world_size],  # type: ignore[index]
        )
        with JointDraws(torch.Generator().manual_seed(0), rank, world_size).of(2 // world_size, 2):
            outputs = model(own)
            values = dict(model.losses(outputs, own, (*LOSSES, "positive_regions")))
            counts = dict(model.loss_counts(outputs, own))
            for task in tasks.values():
                values |= task.losses(outputs, own)
                counts |= task.loss_counts(outputs, own)
        return {name: float(value.detach()) for name, value in values.items()}, counts

    joint, number = step(0, 1)
    shares = [step(rank, 2) for rank in (0, 1)]
    joined = {"cpd_class", "rpd_class", "fgd_boundary", "refine", "lce_sigma_error_corr"}
    assert joint.keys() - number.keys() == joined
    for name, count in number.items():
        assert sum(counts[name] for _, counts in shares) == count
        assert min(counts[name] for _, counts in shares) > 0
        mean = sum(values[name] * counts[name] for values, counts in shares) / count
        assert mean == pytest.approx(joint[name], rel=1e-4), name


def test_padding_shows_nothing() -> None:
    model = lenient()
    outputs = model(batch(valid=20))
    anchors_in_padding = outputs.terms["cpd_references"][1].mean(dim=1) >= 160
    assert int(anchors_in_padding.sum()) > 20
    for step in ("cpd", "rpd", "fgd"):
        assert (outputs.terms[f"{step}_labels"][1, anchors_in_padding] == LEFT_OUT).all()
        assert (outputs.terms[f"{step}_labels"][0] != LEFT_OUT).any()
    assert outputs.rois is not None
    assert outputs.rois.rois[142:, 1:].max() <= 20
    assert outputs.rois.rois[:142, 1:].max() > 20
    changed = {**outputs.terms, "boundary_logits": outputs.terms["boundary_logits"].clone()}
    changed["boundary_logits"][1, :, 160:] = 50.0
    assert torch.equal(boundary_loss(changed), boundary_loss(outputs.terms))


def test_regions_are_the_coarse_segments_with_the_refined_logits() -> None:
    model = lenient()
    data = batch()
    outputs = model(data)
    view = outputs.rois
    assert view is not None
    assert view.labels is not None
    assert view.matched_gt is not None
    assert view.rois.shape == (284, 3)
    assert view.rois[:, 0].tolist() == [0.0] * 142 + [1.0] * 142
    assert not view.rois.requires_grad
    assert torch.allclose(view.rois[:, 1:] * 8, outputs.terms["rpd_references"].flatten(0, 1))
    assert torch.equal(view.logits, outputs.terms["rpd_logits"].flatten(0, 1))
    assert view.feats.shape == (284, model.roi_channels) == (284, 6)
    pooled = model.pool(outputs, view.rois[:5])
    assert pooled.feats.shape == (5, model.pooled_channels) == (5, 10)
    assert torch.equal(model.roi_trunk(pooled), view.feats[:5])
    positive = view.labels > 0
    instances = {tuple(row) for own in data.segments or () for row in own.segments_grid.tolist()}
    assert {tuple(row) for row in view.matched_gt[positive].tolist()} <= instances
    assert int(positive.sum()) > 5
    loss = model.losses(outputs, data, (model.classification_loss_name,))["rpd_class"]
    assert torch.equal(model.classification_loss(view.logits, view.labels), loss)
    model.eval()
    assert model(data).rois.labels is None


def test_regression_of_regions_is_coded_by_their_ends() -> None:
    model = lenient()
    outputs = model(batch())
    assert outputs.rois is not None
    offsets = model.roi_offsets(outputs)
    assert offsets.requires_grad
    by_ends = decode_ends(outputs.rois.rois[:, 1:] * 8, offsets)
    by_centre = decode_centre_length(
        outputs.terms["rpd_references"].flatten(0, 1), outputs.terms["rpd_offsets"].flatten(0, 1)
    )
    assert torch.allclose(by_ends, by_centre, atol=1e-3)


def test_other_logits_replace_the_stored_ones() -> None:
    model = network().eval()
    outputs = model(batch())
    assert outputs.rois is not None
    logits = torch.randn(284, 4, requires_grad=True)
    changed = model.with_logits(outputs, logits)
    assert changed.rois is not None
    assert changed.rois.logits is logits
    assert torch.equal(changed.raw["class_logits"].flatten(0, 1), logits.detach())
    assert not changed.raw["class_logits"].requires_grad
    assert torch.equal(changed.raw["segments"], outputs.raw["segments"])
    with pytest.raises(ValueError, match="the regions have"):
        model.with_logits(outputs, logits[1:])


def test_a_new_trunk_is_a_copy() -> None:
    model = network()
    trunk = model.new_trunk()
    own, other = (dict(module.named_parameters()) for module in (model.roi_trunk, trunk))
    assert all(torch.equal(own[name], other[name]) for name in own)
    assert not {id(p) for p in own.values()} & {id(p) for p in other.values()}


def test_regions_without_features_say_so_to_tasks() -> None:
    model = network(dataclasses.replace(SMALL, net=Net(width=8, roi_width=None))).train()
    outputs = model(batch())
    assert outputs.rois is not None
    assert outputs.rois.feats.shape == (284, 0)
    assert not hasattr(model, "roi_trunk")
    for read in (lambda: model.roi_channels, model.new_trunk):
        with pytest.raises(ValueError, match="net.roi_width: null leaves regions without"):
            read()


def test_a_study_with_tasks_on_regions_without_features_is_refused() -> None:
    raw = {
        "study": "x", "kind": "ablation", "detector": "pbrnet", "dataset": "synthetic",
        "set": {"detector.net.roi_width": None}, "rows": {"alone": {}, "with": {"tasks": ["lce", "mac"]}},
    }  # fmt: skip
    line = "combination: detector.net.roi_width: null leaves regions without the features that lce, mac read; set it"
    with pytest.raises(StudyError) as caught:
        parse_study(raw)
    assert caught.value.lines == [f"rows.with: {line}"]


def test_an_input_of_any_length_is_padded_to_whole_levels() -> None:
    """30 samples give the segments that 32 with two of padding give."""
    model, data = network().eval(), batch(valid=20)
    assert data.feats is not None
    shorter = dataclasses.replace(
        data, feats=data.feats[..., :30] * data.valid_mask[:, None, :30], valid_mask=data.valid_mask[:, :30]
    )
    padded = dataclasses.replace(
        shorter, feats=F.pad(shorter.feats, (0, 2)), valid_mask=F.pad(shorter.valid_mask, (0, 2))
    )
    one, other = model(shorter), model(padded)
    assert one.terms["map"].shape[2] == 32
    for name, tensor in one.raw.items():
        assert torch.equal(tensor, other.raw[name]), name
    assert one.valid_mask.shape == (2, 30)


def test_inputs_and_settings_that_do_not_fit_are_refused() -> None:
    model, data = network(), batch()
    with pytest.raises(ValueError, match="reads pre-extracted features"):
        model(dataclasses.replace(data, feats=None))
    with pytest.raises(ValueError, match="need training mode"):
        model.losses(model.eval()(data), data, LOSSES)
    with pytest.raises(ValueError, match="must not fall"):
        Config(match=Match(rpd_tiou=0.3))
