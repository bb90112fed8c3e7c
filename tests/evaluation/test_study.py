"""A study's intervals cover, its tables say what they hold, its questions have answers.

Tests of ``study`` and of the functions of its record: ``study_record``, ``study_intervals``,
``study_areas``, ``study_table`` and ``study_text``.
"""

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import AgentPool
from routingsim.errors import SimulationError
from routingsim.evaluation import aiq, paired_bootstrap, resampling, text_use
from routingsim.evaluation.cell import METRICS, POINTS, Cell
from routingsim.evaluation.study import Study
from routingsim.evaluation.study_record import StudySettings

TASKS, RUNS = 100, 20
POOL = AgentPool(tuple(rs.Agent(id=f"a{k}", name=f"A{k}", cost=1, latency=1) for k in range(2)))


def corpus(quality: np.ndarray) -> rs.Corpus:
    columns: dict[str, Any] = {
        "id": np.arange(len(quality)).astype(str),
        "text": [f"task {k}" for k in range(len(quality))],
    }
    for a in range(2):
        columns |= {f"outcomes.a{a}.quality": quality[:, a], f"outcomes.a{a}.cost": 0.1 + a}
    return rs.Corpus.from_frame(pd.DataFrame(columns))


def cell(outcomes: np.ndarray, chosen: np.ndarray, **figures: Any) -> Cell:
    """Of the outcomes of each run and task, shape (runs, tasks)."""
    table = np.ones((len(outcomes), len(METRICS)))
    for metric in ("quality", "quality_all"):
        table[:, list(METRICS).index(metric)] = outcomes.mean(axis=1)
    for metric in ("answered", "recorded"):
        table[:, list(METRICS).index(metric)] = 1.0
    for name, values in figures.items():
        table[:, list(METRICS).index(name)] = values
    return Cell(
        figures=table,
        verdicts=("steady",) * len(outcomes),
        quality=outcomes.mean(axis=0),
        quality_all=outcomes.mean(axis=0),
        unknown=np.zeros(outcomes.shape[1], dtype=bool),
        cost=np.full(outcomes.shape[1], 0.1),
        halves=np.array([_by_half(half) for half in np.array_split(outcomes, 2)]),
        met=np.full((2, outcomes.shape[1]), len(outcomes) // 2),
        resampled=np.repeat(table[np.newaxis, :2], resampling.CORPORA, axis=0),
        scale=1.0,
        chosen=chosen,
        times=np.eye(2, dtype=np.int64)[chosen],
        unseen=np.eye(2, dtype=np.int64)[chosen],
        regret=np.zeros(POINTS),
    )


def _by_half(outcomes: np.ndarray) -> list[np.ndarray]:
    """Quality, quality of all, and cost of each task."""
    return [outcomes.mean(axis=0), outcomes.mean(axis=0), np.full(outcomes.shape[1], 0.1)]


def study(tasks: rs.Corpus, cells: dict[str, Cell], load: float = 0.5) -> Study:
    return Study(
        corpus=tasks,
        pool=POOL,
        kinds=dict.fromkeys(cells, "policy"),
        in_sample={},
        loads=(load,),
        capacity=2.0,
        arrivals="poisson:1",
        settings=StudySettings(0, RUNS, TASKS, 3.0, 0.5),
        cells={(name, load): each for name, each in cells.items()},
        group=np.arange(len(tasks)),
    )


# -- intervals -------------------------------------------------------------------------------


def test_a_lucky_learner_is_not_called_better() -> None:
    """Two of one kind, of which each run settles on one of two agents for all its tasks."""
    rng = np.random.default_rng(4)
    chosen = np.zeros(TASKS, dtype=np.int64)
    cells = {}
    for name, lucky in (("one", 8), ("other", 11)):
        settled = np.where(rng.permutation(RUNS) < lucky, 0.6, 0.4)
        cells[name] = cell(np.repeat(settled[:, np.newaxis], TASKS, 1), chosen)
    naive = paired_bootstrap(cells["other"].quality, cells["one"].quality)
    assert naive.verdict == "better"
    found = study(corpus(np.full((TASKS, 2), 0.5)), cells).differences("quality", 0.5)["other"]
    assert found.interval.mean == pytest.approx(0.03)
    assert found.verdict == "not distinguishable"
    assert found.method == "two-way variance over tasks and replications"


# -- tables ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def readers() -> Study:
    """One policy that reads tasks and one that does not, of the same mix."""
    rng = np.random.default_rng(1)
    quality = rng.random((TASKS, 2))
    reader = quality.argmax(axis=1)
    blind = rng.permutation(reader)
    cells = {}
    for name, chosen in (("blind", blind), ("reader", reader)):
        got = np.repeat(quality[np.arange(TASKS), chosen][np.newaxis], RUNS, 0)
        good = got.mean() + rng.normal(0, 0.001, RUNS)
        cells[name] = cell(got, chosen, goodput=good, quality_in_time=good)
    return study(corpus(quality), cells)


def test_the_table_says_who_uses_the_text(readers: Study) -> None:
    table = readers.table().set_index("policy")
    assert table["uses_text"].to_dict() == {"reader": True, "blind": False}
    assert readers.uses_text("reader").quality > readers.uses_text("reader").shuffled
    assert table.loc["reader", "rank"] == 1
    assert table.loc["reader", "verdict"] == "better"
    assert table.loc["blind", "verdict"] == "baseline"


def test_who_is_first_says_whom_it_is_not_held_against(readers: Study) -> None:
    first = "At load 0.5 reader is first of the policies by goodput"
    assert readers.leading() == f"{first}."
    blind = readers.cells["blind", 0.5]
    left = blind.figures.copy()
    left[:, list(METRICS).index("left")] = left[:, list(METRICS).index("peak")] = 50.0
    cell = replace(blind, figures=left, verdicts=("growing",) * RUNS)
    found = replace(readers, cells={**readers.cells, ("blind", 0.5): cell})
    assert found.differences("goodput", 0.5)["reader"].verdict == "not comparable"
    assert found.leading() == f"{first}; blind cannot be compared."


def test_what_was_fitted_on_these_texts_is_said_with_its_share(readers: Study) -> None:
    assert "in-sample" not in repr(readers)
    fitted = replace(readers, in_sample={"reader": 0.5037, "blind": 0.0})
    said = "note: reader is in-sample: fitted or chosen on 50.4 % of these tasks' texts"
    assert said in " ".join(repr(fitted).split())


def test_luck_of_one_run_does_not_read(readers: Study) -> None:
    """A blind policy whose first run happens to fit: over all runs that is luck."""
    quality = readers.corpus.outcome("quality", ["a0", "a1"])
    lucky = quality.argmax(axis=1)
    rng = np.random.default_rng(2)
    times = np.eye(2, dtype=np.int64)[lucky]
    for _ in range(40):
        times += np.eye(2, dtype=np.int64)[rng.permutation(lucky)]
    one = cell(np.repeat(quality.max(axis=1)[np.newaxis], RUNS, 0), lucky)
    found = study(readers.corpus, {"blind": replace(one, times=times, unseen=times)}).uses_text(
        "blind"
    )
    assert not text_use(quality, times - np.eye(2, dtype=np.int64)[lucky]).uses_text
    assert text_use(quality, lucky).uses_text
    assert found.tasks == TASKS
    assert found.quality == pytest.approx((quality * times).sum() / times.sum())


def test_apgr_under_load_is_the_area_between_both_agents_alone() -> None:
    quality = np.zeros((TASKS, 2))
    quality[: TASKS // 2, 0] = 1.0  # a0 has half of them right, a1 three quarters
    quality[TASKS // 4 :, 1] = 1.0
    strong = np.ones(TASKS, dtype=np.int64)
    half = np.where(np.arange(TASKS) < TASKS // 2, 0, 1)
    cells = {}
    for name, chosen in (("weak", 0 * strong), ("half", half), ("strong", strong)):
        got = np.repeat(quality[np.arange(TASKS), chosen][np.newaxis], RUNS, 0)
        cells[name] = cell(got, chosen, quality_in_time=got.mean())
    found = study(corpus(quality), cells)
    # PGR is 0, 2 (both together have all right) and 1: the area is 0.5 (1 + 1.5).
    assert found.apgr(0.5).mean == pytest.approx(1.25)
    assert found.apgr(0.5, ["weak", "strong"]).mean == pytest.approx(0.5)
    del cells["strong"]
    with pytest.raises(SimulationError, match="'static:a1'"):
        study(corpus(quality), cells).apgr(0.5)


def test_a_table_is_the_readers_own(readers: Study) -> None:
    mine = readers.table()
    mine["policy"] = "mine"
    assert "mine" not in set(readers.table()["policy"])


def test_ranking_by_what_is_asked(readers: Study) -> None:
    by_cost = readers.table(by="cost")
    assert by_cost["cost"].is_monotonic_increasing
    assert set(by_cost["verdict"]) == {"baseline", "not distinguishable"}


def test_loads_are_found_within_rounding(readers: Study) -> None:
    assert readers.rates == (1.0,)
    assert readers.table(0.1 + 0.4).equals(readers.table(0.5 * (1 + 1e-15)))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda s: s.table(by="speed"), "no metric 'speed'"),
        (lambda s: s.table(0.7), "at load 0.7"),
        (lambda s: s.values("nobody", 0.5, "cost"), "no 'nobody'"),
        (lambda s: s.differences("cost", 0.5, baseline="nobody"), "no 'nobody'"),
        (lambda s: s.differences("speed", 0.5), "no metric 'speed'"),
        (lambda s: s.uses_text("nobody"), "no 'nobody'"),
    ],
)
def test_questions_without_an_answer_are_refused(readers: Study, ask: Any, said: str) -> None:
    with pytest.raises(SimulationError, match=said):
        ask(readers)


def test_infinite_costs_are_said_and_not_averaged() -> None:
    quality = np.ones((TASKS, 2))
    per_right = np.where(np.arange(RUNS) < 3, np.inf, 0.5)
    outcomes, chosen = np.ones((RUNS, TASKS)), np.zeros(TASKS, dtype=np.int64)
    found = study(
        corpus(quality),
        {"a": cell(outcomes, chosen), "b": cell(outcomes, chosen, cost_per_right=per_right)},
    )
    assert found.interval("b", 0.5, "cost_per_right").mean == np.inf
    apart = found.differences("cost_per_right", 0.5)["b"]
    assert (apart.pairs, apart.left_out) == (RUNS - 3, 3)
    assert (apart.verdict, apart.method) == ("no verdict", "a run has no right answer")


# -- quality and cost under load ---------------------------------------------------------


def test_aiq_of_fixed_points_is_routerbenchs(readers: Study) -> None:
    outcomes, chosen = np.ones((RUNS, TASKS)), np.zeros(TASKS, dtype=np.int64)
    points = {"cheap": (1.0, 0.5), "middle": (2.0, 0.9), "dear": (3.0, 0.95)}
    found = study(
        readers.corpus,
        {
            name: cell(outcomes, chosen, cost=cost, quality_in_time=good)
            for name, (cost, good) in points.items()
        },
    ).aiq(0.5)
    assert found.mean == pytest.approx(aiq([1, 2, 3], [0.5, 0.9, 0.95]))
    assert found.mean == pytest.approx((0.7 + 0.925) / 2)
    assert found.half_width == pytest.approx(0, abs=1e-12)


def test_aiq_falls_with_load() -> None:
    rng = np.random.default_rng(3)
    tasks = corpus((rng.random((TASKS, 2)) < [0.5, 0.9]) * 1.0)
    found = rs.compare(
        tasks, POOL, ["static:a0", "static:a1"], loads=[0.2, 0.9], replications=5, controls=False
    )
    assert found.aiq(0.2).low > found.aiq(0.9).high
    assert found.aiq(0.2, ["static:a1"]).mean <= 0.95


# -- for programs and people -------------------------------------------------------------


def test_a_study_pickles_and_copies(readers: Study) -> None:
    for other in (pickle.loads(pickle.dumps(readers)), copy.deepcopy(readers), copy.copy(readers)):
        assert other.to_dict() == readers.to_dict()
        assert other.runs.equals(readers.runs)
    with pytest.raises(FrozenInstanceError):
        readers.loads = (1.0,)  # pyright: ignore[reportAttributeAccessIssue]


def test_all_rankings_make_one_table(readers: Study) -> None:
    frame = readers.to_frame()
    assert frame.columns[:3].tolist() == ["load", "rate", "rate_met"]
    assert frame[["load", "rank", "policy"]].to_numpy().tolist() == [
        [0.5, 1, "reader"],
        [0.5, 2, "blind"],
    ]
    arrivals = frame[["rate", "rate_met", "span"]].to_numpy().tolist()
    assert arrivals == [[readers.rates[0], *readers.met(0.5)]] * 2
    assert frame.iloc[:, 4:].equals(readers.table())


def test_the_same_table_as_markdown_html_and_json(readers: Study) -> None:
    head, rule, first, second = readers.to_markdown().splitlines()
    assert head.startswith(
        "| load | rate | rate\\_met | span | rank | policy | kind | goodput | goodput"
    )
    assert rule.count("|") == head.count("|")
    assert "| 1 | reader | policy | " in first
    assert "| 2 | blind | policy | " in second
    assert readers._repr_html_() == readers.to_html()
    body = readers.to_html().partition("<tbody>")[2]
    assert 0 < body.index("reader") < body.index("blind")
    document = json.loads(json.dumps(readers.to_dict(), allow_nan=False))
    assert [row["policy"] for row in document["loads"]["0.5"]] == ["reader", "blind"]
    assert document["settings"]["replications"] == RUNS
