"""Anchors, assignment, boundary labels and decoding, beside textbook loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.detectors.pbrnet.anchors import ANCHOR_FRAMES, pyramid_anchors
from trainables.detectors.pbrnet.segments import at_frame_centres, decode_inside
from trainables.detectors.pbrnet.targets import Instances, assign, boundary_labels, instances_of
from trainables.records import SegmentTargets

Segment = tuple[float, float]


def targets(*rows: tuple[float, float, int]) -> SegmentTargets:
    return SegmentTargets(
        torch.tensor([row[:2] for row in rows]).reshape(-1, 2), torch.tensor([row[2] for row in rows], dtype=torch.long)
    )


def draw_targets(generator: torch.Generator, most: int, length: float, num_classes: int) -> SegmentTargets:
    number = int(torch.randint(0, most + 1, (1,), generator=generator))
    ends = (torch.rand(number, 2, generator=generator) * length).sort(dim=1).values
    return SegmentTargets(ends, torch.randint(num_classes, (number,), generator=generator))


def test_a_clip_of_256_frames_has_142_anchors() -> None:
    """Golden: 142 in all, by level 64, 48, 16, 8, 4, 2."""
    anchors = pyramid_anchors(32)
    assert len(anchors) == 142
    assert [len(lengths) * 32 // 2**level for level, lengths in enumerate(ANCHOR_FRAMES)] == [64, 48, 16, 8, 4, 2]
    expected = [
        [256 * (t + 0.5) / cells - length / 2, 256 * (t + 0.5) / cells + length / 2]
        for cells, lengths in zip((32, 16, 8, 4, 2, 1), ANCHOR_FRAMES, strict=True)
        for t in range(cells)
        for length in lengths
    ]
    assert anchors.tolist() == expected
    assert anchors[0].tolist() == [0.0, 8.0]
    assert anchors[-1].tolist() == [0.0, 256.0]
    assert len(pyramid_anchors(64)) == 284


def tiou(a: Segment, b: Segment) -> float:
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - inter
    return inter / union if union > 0 else 0.0


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), threshold=st.sampled_from([0.3, 0.4, 0.5, 0.6]))
def test_assignment_is_the_textbook_loop(seed: int, threshold: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    annotated = [draw_targets(draw, 5, 64.0, 3) for _ in range(3)]
    segments = (torch.rand(3, 40, 2, generator=draw) * 64).sort(dim=2).values
    segments[0, : len(annotated[0].labels)] = annotated[0].segments_grid  # some fit exactly
    instances = instances_of(annotated, frames_per_sample=1)
    labels, matched = assign(segments, instances, threshold)
    for b, own in enumerate(annotated):
        pairs = list(zip(own.segments_grid.tolist(), own.labels.tolist(), strict=True))
        for n, segment in enumerate(segments[b].tolist()):
            overlaps = [tiou(segment, other) for other, _ in pairs]
            best = max(overlaps, default=0.0)
            if abs(best - threshold) < 1e-5:
                continue
            if best <= threshold:
                assert labels[b, n] == 0
                continue
            near = [pair for pair, overlap in zip(pairs, overlaps, strict=True) if overlap > best - 1e-5]
            assert (matched[b, n].tolist(), int(labels[b, n]) - 1) in near


def test_the_instance_of_highest_overlap_is_taken_and_the_threshold_is_background() -> None:
    instances = instances_of([targets((0, 10, 4), (4, 14, 2)), targets()], frames_per_sample=1)
    segments = torch.tensor([[[0.0, 10.0], [3.0, 13.0], [0.0, 5.0], [20.0, 30.0]]]).expand(2, -1, -1)
    labels, matched = assign(segments, instances, 0.5)
    assert labels.tolist() == [[5, 3, 0, 0], [0, 0, 0, 0]]  # (0, 5) has exactly 0.5
    assert matched[0, :2].tolist() == [[0, 10], [4, 14]]


def test_background_is_0_and_the_first_class_is_1_in_samples_of_any_length() -> None:
    instances = instances_of([targets((1, 2, 0), (3, 4.5, 1)), targets((0, 2, 2))], frames_per_sample=8)
    assert instances.segments.tolist() == [[[8, 16], [24, 36]], [[0, 16], [0, 0]]]
    assert instances.labels.tolist() == [[1, 2], [3, 0]]
    nothing = instances_of([targets(), targets()], frames_per_sample=8)
    assert nothing.labels.shape == (2, 0)
    labels, _ = assign(torch.zeros(2, 3, 2), nothing, 0.4)
    assert labels.tolist() == [[0, 0, 0], [0, 0, 0]]


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), ratio=st.sampled_from([0.0, 0.1, 0.3]))
def test_boundary_labels_are_the_textbook_loop(seed: int, ratio: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    # quarters: sums and differences are exact
    drawn = [draw_targets(draw, 4, 40.0, 2) for _ in range(2)]
    annotated = [SegmentTargets(t.segments_grid.mul(4).round() / 4, t.labels) for t in drawn]
    instances = instances_of(annotated, frames_per_sample=1)
    found = boundary_labels(instances, 40, ratio)
    for b, own in enumerate(annotated):
        for side in range(2):
            for frame in range(40):
                expected, close = False, False
                for start, end in own.segments_grid.tolist():
                    boundary = (start, end)[side]
                    distance, reach = abs(frame + 0.5 - boundary), ratio * (end - start)
                    close |= abs(distance - reach) < 1e-4
                    expected |= distance <= reach or frame == min(math.floor(boundary), 39)
                assert close or bool(found[b, side, frame]) == expected


def test_frames_near_a_boundary_by_hand() -> None:
    """An instance of 40 frames has 4 on either side; one of 6 has the frame that holds its boundary alone."""
    instances = Instances(torch.tensor([[[20.0, 60.0], [70.2, 76.2], [0.0, 0.0]]]), torch.tensor([[1, 2, 0]]))
    starts, ends = boundary_labels(instances, 80, 0.1)[0]
    assert torch.nonzero(starts).flatten().tolist() == [16, 17, 18, 19, 20, 21, 22, 23, 70]
    assert torch.nonzero(ends).flatten().tolist() == [56, 57, 58, 59, 60, 61, 62, 63, 76]


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), spread=st.sampled_from([0.0, 0.5, 5.0, 1e4]))
def test_what_is_decoded_lies_in_its_clip(seed: int, spread: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    anchors = pyramid_anchors(32)
    limit = torch.tensor([256, 100, 8, 1])
    offsets = spread * torch.randn(4, 142, 2, generator=draw)
    segments = decode_inside(anchors, offsets, limit)
    last = limit[:, None].float()
    assert (segments[..., 0] >= 0).all()
    assert (segments[..., 1] <= last).all()
    assert (segments[..., 1] - segments[..., 0] >= 1 - 1e-4).all()
    for b, n in ((0, 10), (1, 70), (2, 141)):
        start, end = anchors[n].tolist()
        centre = (start + end) / 2 + float(offsets[b, n, 0]) * (end - start)
        half = (end - start) / 2 * math.exp(min(max(float(offsets[b, n, 1]), -4), 4))
        if centre - half >= 0 and centre + half <= limit[b] and half >= 0.5:
            assert segments[b, n].tolist() == pytest.approx([centre - half, centre + half], rel=1e-4, abs=1e-3)
    middle = at_frame_centres(segments, limit)
    assert torch.equal(middle, middle.floor() + 0.5)
    assert (middle[..., 1] > middle[..., 0]).all()
    inside = segments[..., 1] - segments[..., 0] >= 2
    assert ((middle - segments)[inside].abs() <= 1.0).all()
