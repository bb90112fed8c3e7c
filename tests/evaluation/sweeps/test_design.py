"""Which points a design takes, worked out by hand; and what is refused."""

import numpy as np
import pytest
from scipy.stats import qmc

from routingsim.errors import SimulationError
from routingsim.evaluation.sweeps.design import axis, points


def test_a_grid_has_every_combination_the_last_axis_fastest() -> None:
    axes = [axis("a", [1, 2]), axis("b", {"from": 0, "to": 4, "steps": 3}), axis("c", "x")]
    assert points(axes, "grid", None, 0) == [
        {"a": a, "b": b, "c": "x"} for a in (1, 2) for b in (0, 2, 4)
    ]
    assert axis("r", {"from": 0.1, "to": 10.0, "steps": 3, "log": True}).values == (
        0.1,
        pytest.approx(1.0),
        10.0,
    )
    assert axis("w", {"from": 1, "to": 3, "steps": 9}).values == (1, 2, 3)
    assert axis("n", np.array([0.5, 0.25])).values == (0.5, 0.25)


def test_shares_of_an_axis() -> None:
    shares = (0.0, 0.26, 0.5, 0.999)
    for given, wanted in (
        (["p", "q", "r", "s"], ["p", "q", "r", "s"]),
        ({"from": 0.0, "to": 8.0}, [0.0, 2.08, 4.0, 7.992]),
        ({"from": 2, "to": 5}, [2, 3, 4, 5]),
        ({"from": 1.0, "to": 16.0, "log": True}, [1.0, 16**0.26, 4.0, 16**0.999]),
        ({"from": 1, "to": 16, "log": True}, [1, 2, 4, 16]),
    ):
        found = [axis("x", given).at(share) for share in shares]
        assert found == pytest.approx(wanted) if isinstance(wanted[0], float) else found == wanted
        assert all(type(one) is type(other) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("design", "law"), [("sobol", qmc.Sobol), ("latin-hypercube", None)])
def test_points_are_spread_evenly_and_follow_from_the_seed(design: str, law: object) -> None:
    axes = [axis("x", {"from": 0.0, "to": 1.0}), axis("y", {"from": 0.0, "to": 1.0})]
    found = points(axes, design, 16, 3)
    assert found == points(axes, design, 16, 3) != points(axes, design, 16, 4)
    table = np.array([[each["x"], each["y"]] for each in found])
    for column in table.T:  # one in each sixteenth
        assert sorted((column * 16).astype(int)) == list(range(16))
    few = points([axis("k", [0, 1]), axis("m", [0, 1])], design, 32, 0)
    assert sorted(map(str, few)) == sorted(str({"k": k, "m": m}) for k in (0, 1) for m in (0, 1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "vary x: the list is empty; one value or more is needed"),
        ([1, 2, 1], "vary x: 1 occurs twice"),
        ({"from": 1}, "vary x: {'from': 1} is no range; from and to are needed, two numbers of "
         "which the second is higher (both above 0 with log = true)"),
        ({"from": 0.0, "to": 1.0, "log": True}, "vary x: {'from': 0.0, 'to': 1.0, 'log': True} is "
         "no range; from and to are needed, two numbers of which the second is higher (both above "
         "0 with log = true)"),
        ({"from": 0, "to": 1, "step": 3}, "vary x: no field 'step'; a range has from, to, steps, "
         "log; did you mean 'steps'?"),
        ({"from": 0, "to": 1, "steps": 1},
         "vary x: steps=1; a whole number, 2 or more, is needed"),
    ],
)  # fmt: skip
def test_what_is_no_axis(given: object, said: str) -> None:
    with pytest.raises(SimulationError) as caught:
        axis("x", given)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("design", "count", "said"),
    [
        ("lhs", 4, "design='lhs': choose one of grid, latin-hypercube, sobol"),
        ("grid", 4, "points=4: a grid has every combination; leave it out, or choose the design "
         "latin-hypercube or sobol"),
        ("grid", None, "vary x: in a grid a range needs steps"),
        ("sobol", None, "points=None: the design sobol needs a number of points"),
        ("sobol", 0, "points=0: the design sobol needs a number of points"),
    ],
)  # fmt: skip
def test_what_is_no_design(design: str, count: int | None, said: str) -> None:
    with pytest.raises(SimulationError) as caught:
        points([axis("x", {"from": 0.0, "to": 1.0})], design, count, 0)
    assert str(caught.value) == said
    with pytest.raises(SimulationError, match=r"^vary: nothing is varied; give lists or ranges"):
        points([], "grid", None, 0)
