"""Categories in policies: names in plain Python, codes in compiled kernels, never silence."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import CorpusError, PolicyError
from routingsim.policies.category import Category, categories

LABELS = ["code", "mail", "", "maths"] * 5
POOL = rs.AgentPool(
    tuple(rs.Agent(id=name, name=name, cost=0.0, latency=1.0) for name in ("one", "two"))
)
MAIL = "mail"


def tasks(labels: list[str] = LABELS) -> rs.Corpus:
    ids = [f"t{k}" for k in range(len(labels))]
    return rs.Corpus.from_frame(pd.DataFrame({"id": ids, "text": "x", "category": labels}), "mine")


def sent(corpus: rs.Corpus, policy: Any) -> list[str]:
    frame = rs.replay(corpus, POOL, policy, arrivals="deterministic:1").to_frame()
    return frame["agent"].tolist()


def by_name(task, pool, memory):
    return 1 if task.category == "code" else 0


def by_names(task, pool, memory):
    return 1 if task.category in ("maths", "mail") and task.category != "mail" else 0


def by_wrong_name(task, pool, memory):
    return 1 if task.category == "cod" else 0


def by_none(task, pool, memory):
    return 1 if task.category == "" else 0


# -- codes of a corpus ------------------------------------------------------------------


def test_a_corpus_has_a_code_for_each_name() -> None:
    corpus = tasks()
    assert [corpus.category(name) for name in ("code", "mail", "maths")] == [0, 1, 2]
    with pytest.raises(CorpusError) as error:
        corpus.category("cod")
    assert str(error.value) == (
        "mine: no category 'cod': there are 'code', 'mail', 'maths'; did you mean 'code'?"
    )
    with pytest.raises(CorpusError, match=r"^mine: no category '': there are"):
        corpus.category("")
    with pytest.raises(CorpusError, match=r"mine: no category 'code': the corpus has none$"):
        tasks([""] * 3).category("code")


def test_parts_of_a_corpus_keep_its_codes() -> None:
    corpus = tasks()
    maths = corpus.select(np.array(LABELS) == "maths")
    first, second = corpus.split(0.5, seed=1)
    joined = tasks(["maths"] * 3).with_arrivals(
        rs.Corpus.from_frame(
            pd.DataFrame({"id": list("abc"), "text": "", "arrived_at": [0.0, 1, 2]})
        )
    )
    for part in (maths, first, second, corpus.sample(2, seed=3), corpus.head(1)):
        assert part.category_codes == {"code": 0, "mail": 1, "maths": 2}
    assert maths.category("maths") == 2
    assert tasks(["maths"]).category("maths") == 0  # a corpus of its own
    assert joined.category("maths") == 0


@pytest.mark.slow
def test_a_compiled_policy_means_the_same_category_on_every_part() -> None:
    corpus = tasks()
    wanted = corpus.category("maths")

    @rs.choose_kernel
    def by_code(task, pool, memory):
        return 1 if task.category == wanted else 0

    assert sent(corpus, by_code) == ["one", "one", "one", "two"] * 5
    assert sent(corpus.select([3, 1]), by_code) == ["two", "one"]
    router = rs.TaskRouter(POOL, by_code, corpus=corpus.head(2))
    assert router.route("x", category="maths").agent.id == "two"
    assert router.route("x", category="new").agent.id == "one"


# -- names in plain Python --------------------------------------------------------------


@pytest.mark.slow
def test_names_work_in_plain_python() -> None:
    assert sent(tasks(), by_name) == ["two", "one", "one", "one"] * 5
    assert sent(tasks(), by_names) == ["one", "one", "one", "two"] * 5
    assert sent(tasks(), by_none) == ["one", "one", "two", "one"] * 5
    router = rs.TaskRouter(POOL, by_name)  # the name is known without a corpus
    assert [router.route("x", category=c).agent.id for c in ("code", "mail", "")] == [
        *("two", "one", "one"),
    ]
    batch = rs.TaskRouter(POOL, by_name, corpus=tasks()).route_batch(tasks())
    assert batch["agent"].tolist() == ["two", "one", "one", "one"] * 5


@pytest.mark.slow
def test_a_name_that_no_task_has_is_an_error() -> None:
    with pytest.raises(PolicyError) as error:
        sent(tasks(), by_wrong_name)
    assert str(error.value) == (
        "task.category == 'cod': no category 'cod': there are 'code', 'mail', 'maths'; did you "
        "mean 'code'?"
    )
    with pytest.raises(PolicyError, match="the corpus has none"):
        sent(tasks([""] * 3), by_name)


def test_a_category_is_its_code_and_its_name() -> None:
    code, none = categories(["mail", ""], {"code": 0, "mail": 1})
    assert (code == 1, code == "mail", code != "code", code == 0) == (True, True, True, False)
    assert (none == -1, none == "", none == "code") == (True, True, False)
    assert np.arange(3)[code] == 1
    assert (str(code), f"{code:>5}", int(code), [5, 6][code]) == ("mail", " mail", 1, 6)
    for looked_up in (lambda: code in {"mail"}, lambda: {1: "yes"}.get(code), lambda: {code: 1}):
        with pytest.raises(PolicyError, match=r"look up str\(task\.category\), the name, or int"):
            looked_up()
    new = Category(-1, "new", {"code": 0})
    assert new == "new"


def test_a_code_that_nothing_says_is_an_error() -> None:
    alone = Category(-1, "mail", None)
    assert (alone == "mail", alone == "code", Category(-1, "", None) == -1) == (True, False, True)
    for use in (lambda: alone == 1, lambda: alone != 1):
        with pytest.raises(PolicyError, match="is 'mail', and its code is not known without"):
            use()


# -- compiled ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "function",
    [
        by_name,
        by_names,
        lambda task, pool, memory: 1 if task.category == MAIL else 0,
        lambda task, pool, memory: 0 if task.category != MAIL else 1,
    ],
)
def test_a_kernel_that_compares_a_number_with_text_is_refused(function) -> None:
    kernel = rs.choose_kernel(function)
    with pytest.raises(PolicyError) as error:
        sent(tasks(), kernel)
    said = str(error.value)
    assert said.startswith(f"kernel {function.__name__!r} compares a number with text (")
    assert said.endswith(
        "task.category is a code in compiled code; compare it with corpus.category(name), a "
        "number, or run the kernel as plain Python (interpreted=True), where names work"
    )


@pytest.mark.slow
def test_a_kernel_may_hold_text_that_it_compares_with_text() -> None:
    mode = "second"

    @rs.choose_kernel
    def chosen(task, pool, memory):
        """The text of a docstring is none."""
        return 1 if mode == "second" else 0

    assert sent(tasks(), chosen) == ["two"] * 20


@pytest.mark.slow
def test_a_live_router_without_a_corpus_says_that_it_knows_no_codes() -> None:
    @rs.choose_kernel
    def by_code(task, pool, memory):
        return 1 if task.category == 2 else 0

    router = rs.TaskRouter(POOL, by_code)
    assert router.route("x").agent.id == "one"
    with pytest.raises(PolicyError) as error:
        router.route("x", category="maths")
    assert str(error.value) == (
        "category='maths': policy by_code goes by codes of categories, and without a corpus this "
        "router cannot know them; give it the corpus whose codes are meant (TaskRouter(…, "
        "corpus=…))"
    )
    with pytest.raises(PolicyError, match="category='code'"):
        router.route_batch(tasks())
    plain = rs.TaskRouter(POOL, lambda task, pool, memory: int(memory[task.category]))
    with pytest.raises(PolicyError, match="goes by codes of categories, and without a corpus"):
        plain.route("x", category="maths")
    assert rs.TaskRouter(POOL, "random").route("x", category="maths").agent.id in POOL.ids
    assert not math.isnan(router.route("y").complexity_score.d_var)
