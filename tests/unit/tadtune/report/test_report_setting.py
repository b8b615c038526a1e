"""What a report says of a study's setting beside its values."""

from __future__ import annotations

from typing import Any

from tadtune.report.setting import describe_setting
from tadtune.spec.parse import parse_study


def test_processes_and_precision_are_named_where_they_are_not_the_usual_ones(toy_ablation: dict[str, Any]) -> None:
    def said(resources: dict[str, Any]) -> dict[str, tuple[str, list[str]]]:
        setting = describe_setting(parse_study({**toy_ablation, "resources": resources}), ("avg_map",))
        return {one.what: (one.paper, list(one.ours)) for one in setting.deviations}

    usual = said({})
    named = said({"workers": 3, "precision": "bfloat16"})
    assert {what: named[what] for what in named.keys() - usual.keys()} == {
        "processes that train one trial": ("1", ["3, which share every batch"]),
        "precision of layers in training": ("float32", ["bfloat16"]),
    }
    assert usual == said({"workers": 1, "precision": "float32"})
