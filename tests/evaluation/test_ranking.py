"""Who is called first, and who shares a rank: by differences of known p-values."""

from routingsim.evaluation.intervals import Difference, no_verdict
from routingsim.evaluation.ranking import Leader, Pair, find_leader, ranks
from routingsim.simulation.statistics import Interval


def pairs(p_values: dict[str, float]) -> Pair:
    """``{"ab": .01}``: a is better than b with that p-value, before any correction."""

    def pair(one: str, other: str) -> Difference:
        ahead = one + other in p_values
        p = p_values[one + other if ahead else other + one]
        said = ("better" if ahead else "worse") if p <= 0.05 else "not distinguishable"
        return Difference(Interval(1.0, 1.0), p, said, "by hand", 20)

    return pair


def test_first_needs_each_of_its_pairs_and_no_correction() -> None:
    assert find_leader("abc", pairs({"ab": 0.04, "ac": 0.05, "bc": 0.9})) == Leader(("a",))
    assert find_leader("abc", pairs({"ab": 0.04, "ac": 0.05, "bc": 0.9})).first == "a"
    doubtful = find_leader("abc", pairs({"ab": 0.06, "ac": 0.0001, "bc": 0.9}))
    assert (doubtful.names, doubtful.first) == (("a", "b"), "")


def test_behind_needs_the_correction_for_all_pairs() -> None:
    """c is behind a at .018 among 3 pairs (3 · .018 > .05 but 2 · .018 is not): not shown."""
    close = {"ab": 0.06, "ac": 0.018, "bc": 0.9}
    assert find_leader("abc", pairs(close)).names == ("a", "b", "c")
    assert find_leader("abc", pairs(close | {"ac": 0.016})).names == ("a", "b")


def test_one_policy_leads_and_none_leads_nobody() -> None:
    assert find_leader("a", pairs({})).first == "a"
    assert not find_leader("", pairs({}))


def test_where_nothing_is_said_nobody_is_first() -> None:
    found = find_leader("abc", lambda *_: no_verdict("too few tasks", 1.0))
    assert found == Leader(("a", "b", "c"), "too few tasks")
    assert found.first == ""
    assert ranks("ab", "c", lambda *_: no_verdict("too few tasks", 1.0)) == dict.fromkeys("abc", 1)


def test_ranks_are_shared_by_those_not_told_apart() -> None:
    apart = {"ab": 0.5, "ac": 0.001, "bc": 0.5, "xa": 0.001, "xb": 0.001, "xc": 0.001}
    assert ranks("abc", "x", pairs(apart)) == {"a": 2, "b": 2, "c": 3, "x": 1}
    assert ranks("abc", "", pairs(apart)) == {"a": 1, "b": 1, "c": 2}


def test_who_is_first_is_alone_in_its_rank() -> None:
    """First by each pair's own p-value, though corrected for three pairs none is shown."""
    apart = {"ab": 0.04, "ac": 0.04, "bc": 0.5}
    assert ranks("abc", "", pairs(apart)) == {"a": 1, "b": 2, "c": 2}
