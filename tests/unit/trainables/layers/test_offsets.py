import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.layers.offsets import (
    centre_length_from_ends,
    decode_centre_length,
    decode_ends,
    encode_centre_length,
    encode_ends,
    ends_from_centre_length,
)

PROPOSAL, SEGMENT = torch.tensor([10.0, 30.0]).double(), torch.tensor([12.0, 34.0]).double()


def test_golden_offsets() -> None:
    assert encode_ends(PROPOSAL, SEGMENT).tolist() == pytest.approx([0.1, 0.2])
    assert encode_centre_length(PROPOSAL, SEGMENT).tolist() == pytest.approx([0.15, 0.0953102], abs=1e-7)
    predicted = torch.tensor([11.0, 33.0]).double()
    assert encode_ends(PROPOSAL, predicted).tolist() == pytest.approx([0.05, 0.15])


def test_golden_inclusive_offsets() -> None:
    """The released decoder ends one frame late even for a perfect offset."""
    offsets = encode_centre_length(PROPOSAL, SEGMENT, inclusive=True)
    assert offsets.tolist() == pytest.approx([0.1428571, 0.0909718], abs=1e-7)
    assert decode_centre_length(PROPOSAL, offsets, inclusive=True).tolist() == pytest.approx([12, 35])
    assert encode_ends(PROPOSAL, SEGMENT, inclusive=True).tolist() == pytest.approx([0.0952381, 0.1904762], abs=1e-7)


def test_golden_conversion() -> None:
    coded = encode_centre_length(PROPOSAL, SEGMENT)
    assert ends_from_centre_length(coded).tolist() == pytest.approx([0.1, 0.2])
    assert centre_length_from_ends(torch.tensor([0.1, 0.2]).double()).tolist() == pytest.approx(coded.tolist())


ENDS = st.tuples(st.floats(-500, 500), st.floats(0.5, 300)).map(lambda v: (v[0], v[0] + v[1]))


@given(reference=ENDS, target=ENDS)
def test_decoding_undoes_coding(reference: tuple[float, float], target: tuple[float, float]) -> None:
    ref, segment = torch.tensor(reference).double(), torch.tensor(target).double()
    ends, centred = encode_ends(ref, segment), encode_centre_length(ref, segment)
    torch.testing.assert_close(decode_ends(ref, ends), segment)
    torch.testing.assert_close(decode_centre_length(ref, centred), segment)
    torch.testing.assert_close(ends_from_centre_length(centred), ends)
    torch.testing.assert_close(centre_length_from_ends(ends), centred, rtol=1e-6, atol=1e-9)
