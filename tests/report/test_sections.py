"""Sections that both reports share, on what replays and a study give."""

import math
from dataclasses import replace

import pytest

from routingsim.evaluation.study import Study
from routingsim.report import compose
from routingsim.report.document import Gallery, Table
from routingsim.report.figures import METRICS, Experiment, of_replays, of_study
from routingsim.report.sections import (
    card,
    entry_table,
    frontier,
    in_sample,
    interval_column,
    mean_column,
    stability_section,
)
from routingsim.simulation.result import ReplayResult


def test_columns_are_in_the_unit_that_they_name(study: Study) -> None:
    entries = of_study(study, 0.2).entries
    column, means = mean_column(entries, "cost")
    assert column == METRICS["cost"]
    assert METRICS["cost"].unit == "USD per 1,000 tasks"
    found = [study.interval(name, 0.2, "cost") for name in study.names]
    assert means == [1000 * each.mean for each in found]
    column, pairs = interval_column(entries, "cost")
    assert column == replace(METRICS["cost"], kind="interval")
    assert pairs == [(1000 * each.mean, 1000 * each.half_width) for each in found]


def test_a_kind_stands_where_there_are_controls(results: list[ReplayResult]) -> None:
    alone = of_replays(results[:2])
    assert [column.name for column in entry_table("", alone.entries, []).columns] == ["policy"]
    beside = of_replays(results[:2], {"mine": results[2]})
    table = entry_table("", beside.entries, [])
    assert table.rows == (
        ("threshold", "policy"), ("threshold:calibrated", "policy"), ("mine", "control"),
    )  # fmt: skip
    assert table.colours == tuple(entry.style.colour for entry in beside.entries)


def test_in_sample_is_marked_where_something_is(results: list[ReplayResult]) -> None:
    entries = of_replays(results).entries
    assert in_sample(entries) == [("in-sample", ["–", "100 %", "–"])]
    assert in_sample(entries[:1]) == []


def test_a_card_has_no_latency_of_the_overloaded(results: list[ReplayResult]) -> None:
    at = of_replays(results)
    calm, _, busy = (dict(card(at, entry).figures) for entry in at.entries)
    assert list(calm) == [
        "Quality",
        "USD per 1,000 tasks",
        "Latency p50",
        "Latency p95",
        "Answered",
    ]
    assert calm["Latency p50"].endswith(" s")
    assert (busy["Latency p50"], busy["Latency p95"]) == ("–", "–")
    assert calm["Quality"] == f"{results[0].overall['quality']:.3f}"


def test_a_card_of_a_study_has_goodput(study: Study, plain_study: Study) -> None:
    at = of_study(study, 0.2)
    assert card(at, at.baseline).figures[-1][0] == "Right in time, 1/s"
    at = of_study(plain_study)
    figures = dict(card(at, at.baseline).figures)
    assert "Right in time, 1/s" not in figures
    assert figures["Quality"] == "not recorded"


def test_stability_says_how_many_runs_agree(study: Study) -> None:
    at = of_study(study, 0.2)
    unsure = Experiment(study.corpus, study.pool, study.cells[study.names[0], 0.2].chosen, None,
                        (at,), ())  # fmt: skip
    (table,) = stability_section(unsure).blocks
    assert isinstance(table, Table)
    assert [column.name for column in table.columns] == [
        "policy", "kind", "at load 0.2", "highest offered load", "most tasks waiting",
    ]  # fmt: skip
    for row, entry in zip(table.rows, at.entries, strict=True):
        agreed = "" if entry.agreed == entry.runs else f" ({entry.agreed} of {entry.runs})"
        assert row[2] == f"{entry.state}{agreed}"


def test_the_frontier_has_no_latency_where_all_are_overloaded(
    study: Study, plain_study: Study
) -> None:
    busy = of_study(study, 0.8)
    busy = replace(busy, entries=tuple(replace(e, verdict="growing") for e in busy.entries))
    section = frontier("frontier", [of_study(study, 0.2), busy])
    galleries = [block for block in section.blocks if isinstance(block, Gallery)]
    assert [gallery.name for gallery in galleries] == ["frontier-0.2", "frontier-0.8"]
    assert [len(gallery.pictures) for gallery in galleries] == [2, 1]
    assert galleries[0].pictures[0].title == "Quality and cost at load 0.2"
    assert galleries[0].pictures[1].title == "Quality and latency p95 at load 0.2"
    assert galleries[1].pictures[0].point == (
        "All backlogs outlast the run, so there is no latency to show."
    )
    assert section.text[0].endswith("Bars are 95 % intervals.")
    assert frontier("x", [of_study(plain_study)]).text[0].startswith("Quality: not recorded.")


@pytest.mark.slow
def test_percentiles_of_the_overloaded_come_with_a_warning(results: list[ReplayResult]) -> None:
    for shown, warned in ((results, True), (results[:1], False)):
        section = next(each for each in compose(shown).sections if each.id == "comparison")
        assert bool(section.text) is warned
        (table,) = section.blocks
        assert isinstance(table, Table)
        names = [column.name for column in table.columns]
        assert names[:5] == ["policy", "verdict", "quality", "quality of all tasks", "cost"]
        for row, result in zip(table.rows, shown, strict=True):
            assert row[names.index("failed")] == result.overall["failed"]
            assert row[2:4] == (result.overall["quality"], result.overall["quality_all"])
            assert row[4] == pytest.approx(1000 * result.overall["cost_mean"])
            assert math.isclose(row[names.index("answered")], result.overall["ok"] / len(result))
