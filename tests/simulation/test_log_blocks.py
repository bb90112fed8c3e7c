"""Another log like a recorded one: tasks keep neighbours, pace and their place in the day."""

import numpy as np

from routingsim.simulation.log_blocks import another_log


def test_blocks_are_consecutive_and_keep_their_gaps(seed: int) -> None:
    arrived = np.cumsum(np.arange(100.0))  # the gap before task k is k
    drawn, times = another_log(arrived, seed)
    assert drawn.size == times.size == 100
    assert times[0] == arrived[0]
    np.testing.assert_allclose(np.diff(times), np.where(drawn[1:] == 0, 50.0, drawn[1:]), rtol=0.02)
    blocks = drawn.reshape(10, 10)
    assert (np.diff(blocks, axis=1) == 1).all()
    places = blocks[:, 0] - 10 * np.arange(10)
    assert (np.abs(places) <= 10).all()
    assert not np.array_equal(drawn, np.arange(100))
    assert another_log(arrived, seed)[0].tolist() == drawn.tolist()


def test_each_task_is_met_about_once(seed: int) -> None:
    met = np.zeros(900)
    for k in range(400):
        met += np.bincount(another_log(np.arange(900.0), seed + k)[0], minlength=900)
    assert abs(met[60:-60] / 400 - 1).max() < 0.35
    assert met.sum() == 900 * 400


def test_short_logs_are_logs() -> None:
    assert another_log(np.array([3.0]), 1)[1].tolist() == [3.0]
    drawn, times = another_log(np.array([0.0, 0.0, 0.0]), 1)
    assert set(drawn.tolist()) <= {0, 1, 2}
    assert times.tolist() == [0.0, 0.0, 0.0]
