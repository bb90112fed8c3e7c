"""Write policies.md from the registered policies, so that it lists what there is.

What a policy does and its parameters come from its docstring; when to use it, and where it
comes from, is said here. ``make docs`` runs this; a test fails where a policy is missing.
"""

import inspect
import re
from pathlib import Path

from routingsim.policies import Recipe, recipes

PAGE = Path(__file__).resolve().parent / "policies.md"

# Name: when to use it, and its source where it is not our own.
WHEN = {
    "blend": (
        "Where you have recorded qualities and want tasks in the best order: slower than ridge, "
        "and its APGR was never shown to be lower on the corpora that we tried. For a quality that "
        "could not be told from the best single agent's, for less: `blend:cost_share=0.4` "
        "([measured](findings.md)).",
        "",
    ),
    "cascade": (
        "Where a wrong answer can be recognised cheaply, and the latency of a second try can be "
        "acceptable. What it gains depends on the judge, which is assumed: see "
        "`evaluation.judge_errors`.",
        "FrugalGPT, Chen, Zaharia & Zou (arXiv:2305.05176)",
    ),
    "epsilon-greedy": (
        "Where nothing is recorded and one agent for all tasks has to be found as they come. The "
        "simplest that learns; a baseline for the others.",
        "Auer, Cesa-Bianchi & Fischer, Machine Learning 47 (2002)",
    ),
    "file": ("To serve live what was trained in the simulator.", ""),
    "fs-qmix": (
        "Where the best agent depends on complexity and load together, and there is a simulator to "
        "train in.",
        "Q-learning: Watkins & Dayan, Machine Learning 8 (1992)",
    ),
    "linucb": (
        "Where nothing is recorded and the best agent depends on the text.",
        "Li, Chu, Langford & Schapire, WWW 2010",
    ),
    "thompson": (
        "As epsilon-greedy, and usually with less regret where feedback is late.",
        "Thompson, Biometrika 25 (1933); Chapelle & Li, NeurIPS 2011",
    ),
    "ucb1": (
        "As epsilon-greedy, where draws at random are not wanted.",
        "Auer, Cesa-Bianchi & Fischer, Machine Learning 47 (2002)",
    ),
    "cheapest": (
        "As a control: what the least money buys. A policy that is no better than this one and "
        "costs more has no use.",
        "",
    ),
    "fastest": (
        "As a control: the best latency with idle agents, and a lesson in queueing with busy ones.",
        "",
    ),
    "kmeans": (
        "Where tasks fall into kinds and you have recorded qualities. Cheap to ask, coarse.",
        "",
    ),
    "knn": (
        "Where you have recorded qualities of some thousand tasks, and similar ones come again.",
        "kNN routing as in Hu et al., RouterBench (arXiv:2403.12031)",
    ),
    "least-loaded": (
        "Where agents are alike in quality and the queue is what hurts. Idle agents are equals, "
        "and each gets its share.",
        "",
    ),
    "logged": (
        "As the baseline of a log with one answer a task: what the router that made it does, in "
        "virtual time. Only a replay can use it.",
        "",
    ),
    "logistic": ("Where recorded qualities are right or wrong, 1 or 0.", ""),
    "power-of-two": (
        "Where asking every agent for its load is expensive: nearly as good as least-loaded with "
        "two questions a task.",
        "Mitzenmacher, IEEE Trans. Parallel Distrib. Syst. 12 (2001)",
    ),
    "random": ("As a control: the floor of any comparison.", ""),
    "ridge": (
        "The first predictor to try on recorded qualities: quick to fit, hard to beat on few data.",
        "",
    ),
    "round-robin": ("As a baseline: what many load balancers do.", ""),
    "shortest-wait": (
        "Where agents differ in speed and latency is what counts: knows queues and speeds, but no "
        "quality.",
        "",
    ),
    "static": ("To see what one agent alone would do, load and all.", ""),
    "threshold": (
        "Where you have texts but no recorded quality: harder texts to more expensive agents. Any "
        "text of a few sentences scores high, so calibrate it first.",
        "",
    ),
    "utility": (
        "Where quality, money and time can be weighed against each other: the only one of the "
        "predictive policies that looks at the queues.",
        "",
    ),
    "weighted": ("To split traffic in given shares, as a canary or by capacity.", ""),
}

_HEAD = """\
# Policies

Written by `docs/policies.py` from the policies that are registered: what `routingsim policies`
lists, with its parameters and when to use it. [Your own](your-own-policy.md) is one more.

On the command line and in Python a policy is a name with parameters, `NAME`, `NAME:WORD` or
`NAME:KEY=VALUE,…`:

```console
$ routingsim route "Write a haiku about queues" --policy threshold:low=0.2,medium=0.4
```

```python
import routingsim as rs

rs.TaskRouter(policy="static:gpt-4").route("Write a haiku about queues")
```

Parameters that are not text or numbers are given in Python, to the function that makes the policy:

```python
from routingsim.policies import threshold

pool = rs.load_agents()
bands = {"low": ["llama"], "medium": ["mistral", "gemini"], "high": ["claude", "gpt-4"]}
rs.TaskRouter(pool, policy=threshold(pool, bands=bands)).route("Write a haiku about queues")
```

An agent that is down, or that has just failed the task, is passed over (`static` alone insists).
Among equals the agent that the pool names first wins. What is fitted is fitted on the corpus of
the replay, or on the `corpus=` of the router.

| policy | what it does |
|---|---|
"""


def page() -> str:
    """The page as it should be."""
    # Those of plug-ins are not ours to list.
    known = {
        n: r for n, r in sorted(recipes().items()) if r.make.__module__.startswith("routingsim.")
    }
    missing = sorted(known.keys() - WHEN.keys())
    if missing:
        raise SystemExit(f"docs/policies.py: WHEN says nothing of {', '.join(missing)}")
    table = [f"| [{name}](#{name}) | {_plain(each.summary)} |" for name, each in known.items()]
    return _HEAD + "\n".join([*table, "", *(_entry(each) for each in known.values())])


def _entry(recipe: Recipe) -> str:
    when, source = WHEN[recipe.name]
    body, parameters = _docstring(recipe)
    lines = [f"## {recipe.name}", "", *body, "", f"*When:* {when}"]
    if source:
        lines += ["", f"*Source:* {source}."]
    if parameters:
        lines += ["", "| parameter | default | meaning |", "|---|---|---|", *parameters]
    return "\n".join(lines) + "\n"


def _docstring(recipe: Recipe) -> tuple[list[str], list[str]]:
    """The text before the parameters, and a table's row for each of those."""
    said, _, rest = (inspect.getdoc(recipe.make) or "").partition("\n\nParameters\n----------\n")
    said = re.split(r"\n\n(?:Raises|Notes|Returns)\n-+\n", said)[0]
    rest = re.split(r"\n\n\w+\n-+\n", rest)[0]
    meaning = {}
    for entry in re.findall(r"^\S.*(?:\n[ \t]+.*|\n(?=\n))*", rest, re.MULTILINE):
        names, _, text = entry.partition("\n")
        for name in names.partition(" : ")[0].split(", "):
            meaning[name] = " ".join(text.split()) or names.partition(" : ")[2]
    rows = [
        f"| `{name}` | {_default(default)} | {_meaning(meaning.get(name))} |"
        for name, default in recipe.parameters.items()
    ]
    return [_plain(said)], rows


def _meaning(text: str | None) -> str:
    if text is None:
        return "See above."

    def link(match: re.Match[str]) -> str:
        name = match[1].rpartition(".")[2].replace("_", "-")
        return f"As [{name}](#{name})"

    return re.sub(r"As `([\w.]+)`", link, _plain(text))


def _default(value: object) -> str:
    if value is None or value == "":
        return "-"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _plain(text: str) -> str:
    """reStructuredText of a docstring as Markdown."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
