"""Names that a shell completes. Nothing here loads the compiler or pandas, which takes seconds."""

from routingsim.files import bundled

POLICIES = (
    "blend", "cascade", "cheapest", "epsilon-greedy", "fastest", "file", "fs-qmix", "kmeans", "knn",
    "least-loaded", "linucb", "logged", "logistic", "power-of-two", "random", "ridge",
    "round-robin", "shortest-wait", "static", "thompson", "threshold", "ucb1", "utility",
    "weighted",
)  # fmt: skip
"""The names of :func:`routingsim.policies.recipes`, which a test compares."""


def complete_policy(incomplete: str) -> list[str]:
    """Names of policies that begin like this."""
    return [name for name in POLICIES if name.startswith(incomplete)]


def complete_pool(incomplete: str) -> list[str]:
    """Names of built-in pools that begin like this; files are left to the shell."""
    stems = [path.stem for path in sorted(bundled("data").glob("agents*.toml"))]
    names = [stem.removeprefix("agents").removeprefix("-") or "default" for stem in stems]
    return [name for name in names if name.startswith(incomplete)]


def complete_corpus(incomplete: str) -> list[str]:
    """Names of corpora that begin like this; files are left to the shell."""
    from routingsim.corpora.catalogue import BUNDLED, DATASETS

    return [name for name in (*BUNDLED, *DATASETS) if name.startswith(incomplete)]
