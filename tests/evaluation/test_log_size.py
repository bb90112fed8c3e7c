import math

import pytest
from scipy import stats

from routingsim.errors import SimulationError
from routingsim.evaluation.log_size import log_size


def test_the_size_that_answers() -> None:
    found = log_size(4, 0.1)
    assert (found.tasks, found.answers) == (2000, True)
    assert found.worth == pytest.approx(50)
    t = stats.t.ppf(0.975, 50 / 4)
    assert found.half_width == pytest.approx(t * 0.5 / math.sqrt(50))
    assert found.difference == pytest.approx(math.sqrt(2) * found.half_width)
    assert log_size(3, 0.07).tasks == 2143  # 2,142.9 rounded up
    assert str(found).startswith("2,000 tasks: with 4 agents and 0.1 of choices at random")


def test_a_size_or_a_width_that_is_asked_for() -> None:
    small = log_size(4, 0.1, tasks=1999)
    assert not small.answers
    assert "too few" in str(small)
    wide = log_size(4, 0.1, half_width=0.05)
    assert wide.half_width <= 0.05
    assert log_size(4, 0.1, tasks=int(wide.tasks / 1.02)).half_width > 0.05
    assert log_size(4, 0.1, half_width=10).tasks == 2000
    assert log_size(4, 0.1, spread=0.25).half_width == pytest.approx(
        log_size(4, 0.1).half_width / 2
    )


@pytest.mark.parametrize(
    ("agents", "explore", "options", "said"),
    [
        (0, 0.1, {}, "one agent or more"),
        (4, 0.0, {}, "0 < explore"),
        (4, 1.5, {}, "0 < explore"),
        (4, 0.1, {"level": 1.0}, "level"),
        (4, 0.1, {"tasks": 100, "half_width": 0.1}, "give one"),
        (4, 0.1, {"tasks": 0}, "above 0"),
        (4, 0.1, {"half_width": 0.0}, "above 0"),
        (9, 0.05, {}, "explore=0.09 or more"),
    ],
)
def test_refusals(agents: int, explore: float, options: dict, said: str) -> None:
    with pytest.raises(SimulationError, match=said):
        log_size(agents, explore, **options)
