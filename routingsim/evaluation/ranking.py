"""Which policy is first, and which cannot be distinguished from it.

The data choose the leader, so a test of the leader against the others that corrects for these
comparisons alone finds differences that are due to chance. Two rules hold:

- A policy is *first* if each comparison with it is significant by itself. For it to be first
  by chance it must be ahead of the truly best by chance, which is one comparison.
- A policy is *behind* the leader if their comparison is significant after Holm's correction
  for all pairs, as any pair might have become the leader's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from routingsim.evaluation.intervals import Difference, together

Pair = Callable[[str, str], Difference]
"""From two names to the difference, first less second, uncorrected."""


@dataclass(frozen=True)
class Leader:
    """The policies that may be the best, by a metric.

    Attributes
    ----------
    names : tuple of str
        The one that is first; or else the one with the best mean and those that are not
        behind it, best first. Empty where no policy has the metric.
    why : str
        Why there is no leader, where there are too few runs or tasks.
    """

    names: tuple[str, ...]
    why: str = ""

    @property
    def first(self) -> str:
        """The name of the best policy; "" where it is not known."""
        return self.names[0] if len(self.names) == 1 and not self.why else ""

    def __bool__(self) -> bool:
        return bool(self.names)


def find_leader(ordered: Sequence[str], pair: Pair) -> Leader:
    """The leader of policies, of which the names are given best first by their means."""
    if len(ordered) < 2:
        return Leader(tuple(ordered))
    found = {both: pair(*both) for both in combinations(ordered, 2)}
    best, *others = ordered
    mine = [found[best, other] for other in others]
    if all(each.verdict == "no verdict" for each in mine):
        return Leader(tuple(ordered), mine[0].method)
    if all(each.verdict == "better" for each in mine):
        return Leader((best,))
    held = together(found)
    return Leader((best, *(name for name in others if held[best, name].verdict != "better")))


def ranks(ordered: Sequence[str], beside: Sequence[str], pair: Pair) -> dict[str, int]:
    """1 more than the number of policies and controls that are shown to be better.

    Those that cannot be distinguished may share a rank. Pairs of policies and those with a
    control allow each for their own number (Holm over all of them); a policy that is first
    is ahead of all others.

    Parameters
    ----------
    ordered, beside : sequence of str
        Policies, and controls, each best first by their means.
    pair : callable
    """
    names = [*ordered, *beside]
    found = {both: pair(*both) for both in combinations(names, 2)}
    of_policies = {both: each for both, each in found.items() if set(both) <= set(ordered)}
    rest = {both: each for both, each in found.items() if both not in of_policies}
    ahead = {name: set[str]() for name in names}
    for (one, other), each in (together(of_policies) | together(rest)).items():
        if each.verdict in ("better", "worse"):
            better, worse = (one, other) if each.verdict == "better" else (other, one)
            ahead[worse].add(better)
    if first := find_leader(ordered, pair).first:
        for name in ordered:
            ahead[name] |= {first} - {name}
    return {name: 1 + len(better) for name, better in ahead.items()}
