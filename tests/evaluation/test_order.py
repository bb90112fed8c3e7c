"""Tasks that go with their order: found, said, and kept in their order where that is needed."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import routingsim as rs
from routingsim.evaluation.order import OrderTest, _of_numbers, order_note, order_tests
from routingsim.policies import make_policy
from routingsim.simulation.scenario import prepare

A = rs.Agent(id="a", name="A", cost=0.0, latency=3.0, service="recorded", concurrency=2)
B = rs.Agent(id="b", name="B", cost=0.0, latency=1.0)
POOL = rs.AgentPool((A, B))


def corpus_of(**columns: object) -> rs.Corpus:
    given = {"text": "x", "outcomes.a.latency": 1.0} | columns
    sizes = [len(v) for v in given.values() if isinstance(v, list | np.ndarray)]
    return rs.Corpus.from_frame(pd.DataFrame({"id": range(sizes[0])} | given))


def found(corpus: rs.Corpus) -> dict[str, OrderTest]:
    work = prepare(corpus, POOL, make_policy(POOL, "random")).records.work
    return {each.name: each for each in order_tests(corpus, POOL, work)}


@pytest.mark.slow
def test_a_random_order_means_nothing_and_nothing_is_said(seed: int) -> None:
    generator = np.random.default_rng(seed)
    said = 0
    for _ in range(30):
        said += bool(
            found(
                corpus_of(
                    **{
                        "text": ["x" * k for k in generator.integers(1, 900, 300)],
                        "category": generator.choice(["u", "v", "w"], 300),
                        "outcomes.a.quality": generator.random(300),
                        "outcomes.b.quality": generator.integers(0, 2, 300),
                    }
                )
            )
        )
    assert said <= 3  # of 30 at a level of 1 %: four or more have a chance of 2e-4


@pytest.mark.slow
def test_each_kind_of_order_is_found(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = ["code"] * 150 + ["mail"] * 150
    [(name, test)] = found(corpus_of(category=labels)).items()
    assert name == "the category"
    assert test.figures == "100 % of neighbours share one, 50 % would at random; p < 1e-6"
    rush = np.where((np.arange(300) > 120) & (np.arange(300) < 200), 9.0, 1.0)
    slow = rush * generator.uniform(0.5, 1.5, 300)
    assert set(found(corpus_of(**{"outcomes.a.latency": slow}))) == {"the service time of a"}
    # The better agent changes in the middle, and their mean does not.
    good = (generator.random(300) < np.repeat([0.9, 0.3], 150)).astype(float)
    drift = corpus_of(**{"outcomes.a.quality": good, "outcomes.b.quality": 1 - good})
    assert set(found(drift)) == {"the quality of a", "the quality of b"}
    # Longer and longer by 1 % a task, in steps of 4 characters a token.
    longer = corpus_of(text=["x" * int(40 * 1.01**k) for k in range(300)])
    [(name, test)] = found(longer).items()
    assert name == "the length of the prompt"
    assert test.figures.startswith("neighbours correlate +0.9")
    assert not found(longer.head(49))


def test_a_few_prompts_asked_in_turn_count_once() -> None:
    """Sixty prompts of which neighbours alternate in length, as they may by chance, ten times."""
    generator = np.random.default_rng(3)
    lengths = generator.permutation(60)
    texts = ["x" * 4 * (k + 1) for k in lengths.tolist()]
    assert not found(corpus_of(text=texts))
    assert not found(corpus_of(text=texts * 20))
    # What differs from task to task with one prompt still counts every task.
    rising = np.linspace(1.0, 2.0, 300)
    said = found(corpus_of(text="x", **{"outcomes.a.latency": rising}))
    assert set(said) == {"the service time of a"}


def test_what_is_said_of_it() -> None:
    test = OrderTest("the category", 0.0, "figures; p < 1e-6")
    dealt = order_note([test], kept=False, has_arrivals=True)
    assert dealt == (
        "the runs deal the tasks to other times, and tasks go with their order: the category "
        "(figures; p < 1e-6). Queues and policies that learn would meet another stream; "
        'arrivals="corpus" keeps each at its own time'
    )
    assert order_note([test], kept=False, has_arrivals=False).endswith(
        "; replay() keeps their order"
    )
    assert order_note([test], kept=True, has_arrivals=False) == (
        "the runs keep the order of the file, as a policy of the study learns and tasks go with "
        "their order: the category (figures; p < 1e-6)"
    )
    assert order_note([], kept=True, has_arrivals=True) == ""


def test_tenths_are_told_apart_as_by_kruskal_and_wallis() -> None:
    """Of many ties, which have their mean rank; neighbours hardly correlate here."""
    values = np.random.default_rng(2).integers(0, 7, 600) + 1.0 * (np.arange(600) >= 300)
    expected = float(stats.kruskal(*np.array_split(values, 10)).pvalue)
    assert 1e-12 < expected < 1e-3
    told = _of_numbers("x", values, 2)
    assert told.p_value == pytest.approx(2 * expected, rel=1e-9)
    rank = stats.rankdata(values)
    beside = np.corrcoef(rank[1:], rank[:-1])[0, 1]
    assert f"neighbours correlate {beside:+.2f}; " in told.figures


@pytest.mark.slow
def test_long_tasks_in_the_rush_stay_there() -> None:
    generator = np.random.default_rng(3)
    gaps = np.concatenate([generator.exponential(m, n) for m, n in ((6, 350), (3, 300), (6, 350))])
    takes = generator.exponential(1.0, 1000) * np.repeat([2.0, 10.0, 2.0], [350, 300, 350])
    log = corpus_of(arrived_at=np.cumsum(gaps), **{"outcomes.a.latency": takes})
    pool = rs.AgentPool((A,))
    own = rs.replay(log, pool, "static:a")
    assert own.realised[0] is not None
    given = {"rates": own.realised[0], "replications": 10, "controls": False}
    study = rs.compare(log, pool, "static:a", arrivals="corpus", **given)
    kept = study.values("static:a", study.loads[0], "latency_p95")
    assert study.settings.order == "blocks"
    assert kept.mean() == pytest.approx(own.overall["latency_p95"], rel=0.3)
    assert "each run resamples the log in blocks, each task with its own time" in study.notes
    dealt = rs.compare(log, pool, "static:a", **given)
    assert dealt.settings.order == "shuffled"
    assert dealt.values("static:a", dealt.loads[0], "latency_p95").mean() < 0.2 * kept.mean()
    [note] = [n for n in dealt.notes if n.startswith("the runs deal the tasks to other times")]
    assert "the service time of a (neighbours correlate +0." in note


@pytest.mark.slow
def test_who_learns_meets_the_order_of_the_file() -> None:
    generator = np.random.default_rng(3)
    good = (generator.random(600) < np.repeat([0.95, 0.05], 300)).astype(float)
    columns = {"outcomes.a.quality": good, "outcomes.b.quality": 1 - good}
    given = {"loads": 0.3, "replications": 3, "controls": False}
    forgets = "thompson:gamma=0.95"
    study = rs.compare(corpus_of(**columns), POOL, ["static:a", forgets], **given)
    assert study.settings.order == "file"
    assert study.values(forgets, 0.3, "quality").mean() > 0.75
    assert any(note.startswith("the runs keep the order of the file") for note in study.notes)
    timed = corpus_of(arrived_at=np.arange(600.0), **columns)
    log = rs.compare(timed, POOL, [forgets], arrivals="corpus", **given)
    assert log.settings.order == "file"
    assert log.values(forgets, 0.3, "quality").mean() > 0.75
    mixed = corpus_of(**{k: v[generator.permutation(600)] for k, v in columns.items()})
    assert rs.compare(mixed, POOL, [forgets], **given).settings.order == "shuffled"
    dealt = rs.compare(corpus_of(**columns), POOL, "static:a", **given)
    assert dealt.settings.order == "shuffled"
