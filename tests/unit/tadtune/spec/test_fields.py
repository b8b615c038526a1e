"""Configuration dataclasses: what builds, and how what does not is complained about."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tadtune.spec.errors import StudyError
from tadtune.spec.fields import build_config, field_infos, to_plain


@dataclass(frozen=True)
class Inner:
    rate: float = field(default=0.5, metadata={"doc": "a rate", "bounds": (0.0, 1.0), "search": (0.1, 0.9)})
    sizes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    name: Literal["a", "b"] = "a"
    count: int = 3
    on: bool = True
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.count == 13:
            raise ValueError("count: 13 is refused; use 14")


def test_paths_of_nested_fields_and_their_metadata() -> None:
    infos = field_infos(Outer)
    assert list(infos) == ["inner.rate", "inner.sizes", "name", "count", "on", "limit"]
    assert infos["inner.rate"].search == (0.1, 0.9)
    assert infos["inner.rate"].default == 0.5


def test_building_from_paths_keeps_the_other_defaults() -> None:
    built = build_config(Outer, {"inner.rate": 1, "inner.sizes": [4], "limit": 2, "name": "b"}, where="detector")
    assert built == Outer(inner=Inner(rate=1.0, sizes=(4,)), name="b", limit=2.0)
    assert isinstance(built.inner.rate, float)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"inner.rat": 1}, "detector.inner.rat: no such field. Did you mean 'detector.inner.rate'?"),
        ({"rate": 1}, "detector.rate: no such field. Did you mean 'detector.inner.rate'?"),
        ({"inner.rate": 2}, "detector.inner.rate: 2.0 is outside its bounds 0.0 .. 1.0"),
        ({"inner.rate": float("nan")}, "detector.inner.rate: nan is outside its bounds"),
        ({"inner.rate": "fast"}, "detector.inner.rate: expected float, got 'fast' (str)"),
        ({"count": 2.5}, "detector.count: expected int, got 2.5"),
        ({"count": True}, "detector.count: expected int, got True"),
        ({"on": 1}, "detector.on: expected bool, got 1"),
        ({"name": "c"}, "detector.name: expected one of 'a', 'b', got 'c'"),
        ({"inner.sizes": [1, "x"]}, "detector.inner.sizes: expected a list of int"),
        ({"limit": "none"}, "detector.limit: expected float or null"),
        ({"count": 13}, "detector: count: 13 is refused; use 14"),
    ],
)
def test_complaints_name_key_rule_and_value(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(StudyError) as caught:
        build_config(Outer, values, where="detector")
    assert caught.value.lines[0].startswith(complaint)


def test_all_complaints_come_at_once() -> None:
    with pytest.raises(StudyError) as caught:
        build_config(Outer, {"inner.rate": 7, "nam": 1, "count": "x"}, where="d")
    assert len(caught.value.lines) == 3


def test_a_number_that_yaml_reads_as_text() -> None:
    assert build_config(Outer, {"inner.rate": "1e-4"}, where="d").inner.rate == 1e-4


@given(
    rate=st.floats(0, 1),
    sizes=st.lists(st.integers(-5, 5), max_size=4),
    name=st.sampled_from(["a", "b"]),
    count=st.integers(-100, 100).filter(lambda n: n != 13),
    on=st.booleans(),
    limit=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_plain_values_survive_json_and_build_the_same(rate, sizes, name, count, on, limit) -> None:  # type: ignore[no-untyped-def]
    config = Outer(Inner(rate, tuple(sizes)), name, count, on, limit)
    plain = json.loads(json.dumps(to_plain(config)))
    assert build_config(Outer, plain, where="d") == config
