"""The papers' tables as data: readable, and equal where the papers say so."""

from __future__ import annotations

import pytest

from tadtune.spec.errors import StudyError
from tadtune.spec.tables import find_table, metric_name, paper_tables, papers


def test_five_papers() -> None:
    assert papers() == ["clean_net", "kt_mgfn", "sp_tad", "ssdet", "three_birds"]


@pytest.mark.parametrize("paper", ["clean_net", "kt_mgfn", "sp_tad", "ssdet", "three_birds"])
def test_values_are_percentages_speeds_or_differences(paper: str) -> None:
    for table in paper_tables(paper).values():
        for row in table.rows.values():
            others = {name for name in row.values if "fps" in name or "delta" in name}
            assert all(0 <= v <= 100 for name, v in row.values.items() if name not in others), (table.key, row.key)


def test_equalities_between_tables_of_kt_mgfn() -> None:
    main = find_table("kt_mgfn", "table_3").rows["kt_mgfn_unt"].values
    assert main == find_table("kt_mgfn", "table_6").rows["two"].values
    for table, row in (("table_5", "full"), ("table_7", "end2end"), ("table_8", "c7")):
        assert find_table("kt_mgfn", table).rows[row].values["map_tiou_0.50"] == main["map_tiou_0.50"] == 22.7


def test_both_ways_of_naming_columns_give_the_same_metrics() -> None:
    assert metric_name("0.5") == metric_name("map_tiou_0.50") == "map_tiou_0.50"
    assert metric_name("avg_0.5:0.05:0.95") == metric_name("avg") == "avg_map"
    assert find_table("three_birds", "table1").rows["t1.baseline"].values["map_tiou_0.50"] == 28.9


def test_a_table_of_several_data_sets_names_its_metrics_alike() -> None:
    both = find_table("three_birds", "table7").rows["t7.both"].values
    alone = [find_table("three_birds", f"table{n}").rows[f"t{n}.mac_lce"].values for n in (1, 2, 3)]
    assert both == {
        "map_tiou_0.40": alone[0]["map_tiou_0.40"],
        "map_tiou_0.50": alone[0]["map_tiou_0.50"],
        "avg_map": alone[1]["avg_map"],
        "frame_map": alone[2]["frame_map"],
        "frame_map_smoothed": alone[2]["frame_map_smoothed"],
    }


def test_a_column_may_name_its_metric() -> None:
    row = find_table("ssdet", "t2b_charades_multistream").rows["t2b.coarse_fine.cls_cls"].values
    assert row == {"low_rate_stream": 18.13, "high_rate_stream": 17.28, "frame_map": 23.29}


def test_unknown_paper_and_table() -> None:
    with pytest.raises(StudyError, match="Did you mean 'kt_mgfn'"):
        paper_tables("kt_mfgn")
    with pytest.raises(StudyError, match="Did you mean 'table_5'"):
        find_table("kt_mgfn", "tabel_5")
