"""Ids of tasks that come without one: random UUIDs, made many at a time."""

import os

import numpy as np

_DIGITS = [at for at in range(36) if at not in (8, 13, 18, 23)]  # places without a dash
_ids: list[str] = []
os.register_at_fork(after_in_child=_ids.clear)  # a child must not use its parent's


def new_id() -> str:
    """A random UUID from a stock of 500."""
    while True:
        try:
            return _ids.pop()  # safe between threads
        except IndexError:
            _ids.extend(new_ids(500))


def new_ids(count: int) -> list[str]:
    """Random UUIDs (version 4), quicker for many than :func:`uuid.uuid4`."""
    drawn = np.frombuffer(os.urandom(16 * count), np.uint8).reshape(count, 16).copy()
    drawn[:, 6] = drawn[:, 6] & 0x0F | 0x40  # the version
    drawn[:, 8] = drawn[:, 8] & 0x3F | 0x80  # the variant
    digits = np.frombuffer(drawn.tobytes().hex().encode(), np.uint8).reshape(count, 32)
    written = np.full((count, 36), ord("-"), np.uint8)
    written[:, _DIGITS] = digits
    text = written.tobytes().decode()
    return [text[at : at + 36] for at in range(0, len(text), 36)]
