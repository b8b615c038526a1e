import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.detectors.r_c3d.anchors import cut, half_open, inside, make_anchors
from trainables.detectors.r_c3d.presets import ANCHOR_SCALES
from trainables.detectors.r_c3d.settings import Anchors


def of(scales: tuple[float, ...], cells: int, *, inclusive: bool, stride: int = 8) -> torch.Tensor:
    return make_anchors(scales, cells, samples_per_cell=stride, inclusive=inclusive, device="cpu")


@pytest.mark.parametrize(
    ("scale", "cell", "segment"), [(2, 0, [-4, 11]), (2, 10, [76, 91]), (1, 0, [0, 7]), (56, 32, [36, 483])]
)
def test_golden_inclusive_anchors(scale: float, cell: int, segment: list[int]) -> None:
    assert of((scale,), cell + 1, inclusive=True)[cell].tolist() == segment


def test_continuous_anchors() -> None:
    anchors = of((2, 4), 3, inclusive=False)
    assert anchors.tolist() == [[-4, 12], [-12, 20], [4, 20], [-4, 28], [12, 28], [4, 36]]
    assert of((2, 3), 2, inclusive=False, stride=1).tolist() == [[-0.5, 1.5], [-1, 2], [0.5, 2.5], [0, 3]]


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize(
    ("preset", "length", "total", "within"),
    [
        ("thumos14_paper", 768, 960, 876),
        ("thumos14_release", 512, 1792, 980),
        ("activitynet_paper", 768, 1920, 1524),
        ("activitynet_release", 768, 3552, 2636),
        ("charades", 768, 1728, 1452),
    ],
)
def test_golden_counts_of_the_presets(preset: str, length: int, total: int, within: int, inclusive: bool) -> None:
    anchors = of(ANCHOR_SCALES[preset], length // 8, inclusive=inclusive)
    assert len(anchors) == total
    assert int(inside(anchors, torch.tensor([length]), inclusive=inclusive).sum()) == within


@given(scale=st.floats(0.5, 100), cells=st.integers(1, 20), stride=st.sampled_from([1, 8]), inclusive=st.booleans())
def test_an_anchor_has_its_length_around_the_middle_of_its_cell(
    scale: float, cells: int, stride: int, inclusive: bool
) -> None:
    spans = half_open(of((scale,), cells, inclusive=inclusive, stride=stride), inclusive=inclusive)
    middle = stride * (torch.arange(cells).double() + 0.5)
    torch.testing.assert_close(spans[:, 1] - spans[:, 0], torch.full((cells,), scale * stride).double())
    torch.testing.assert_close(spans.mean(dim=1), middle)


def test_what_leaves_its_input_is_cut_to_it() -> None:
    segments = torch.tensor([[[-5.0, 3.0], [2.0, 9.0], [12.0, 15.0]], [[0.0, 10.0], [0.0, 9.0], [-2.0, -1.0]]])
    lengths = torch.tensor([8, 10])
    assert cut(segments, lengths, inclusive=False).tolist() == [[[0, 3], [2, 8], [8, 8]], [[0, 10], [0, 9], [0, 0]]]
    assert cut(segments, lengths, inclusive=True).tolist() == [[[0, 3], [2, 7], [7, 7]], [[0, 9], [0, 9], [0, 0]]]
    assert inside(segments, lengths, inclusive=False).tolist() == [[False, False, False], [True, True, False]]
    assert inside(segments, lengths, inclusive=True).tolist() == [[False, False, False], [False, True, False]]


def test_lengths_of_your_own() -> None:
    assert Anchors(preset="charades").lengths == ANCHOR_SCALES["charades"]
    assert Anchors(scales=(0.5, 3.0)).lengths == (0.5, 3.0)
    for scales in ((), (1.0, 1.0), (0.0, 2.0)):
        with pytest.raises(ValueError, match=r"anchors\.scales: .* must be different lengths above 0"):
            Anchors(scales=scales)
