"""The grammar in which arrival processes are written as text.

``parse_arrivals(str(process)) == process``, except for a trace from an array or
a corpus in memory, which has no name to be read by.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from routingsim.errors import SimulationError, did_you_mean, type_of
from routingsim.simulation.arrivals.closed import ClosedLoop
from routingsim.simulation.arrivals.process import Arrivals, Superposition
from routingsim.simulation.arrivals.recorded import CorpusTimes, Trace
from routingsim.simulation.arrivals.renewal import Deterministic, Gamma, Poisson, Weibull
from routingsim.simulation.arrivals.varying import MMPP, Diurnal, Piecewise, burst
from routingsim.synonyms import argument_hints


@dataclass(frozen=True)
class _Form:
    """One kind of process: its form as text, its constructor, and a reader per parameter."""

    written: str
    make: Callable[..., Arrivals]
    readers: Mapping[str, Callable[[str], Any]]
    leads: bool = True  # the first parameter may be given without its name


def _speed(text: str) -> float:
    return float(text.removesuffix("x"))


def _flag(text: str) -> bool:
    return {"": True, "true": True, "false": False}[text]


def _file(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    name = text[1:-1] if quoted else text
    if not name or '"' in name:
        raise ValueError
    return name


def _steps(text: str) -> list[tuple[float, float]]:
    pairs = [tuple(map(float, step.split("@"))) for step in text.split("/")]
    return [(seconds, rate) for seconds, rate in pairs]


_NEEDED = {
    float: "a number",
    int: "a whole number",
    _speed: "a number of times as fast, such as 2x",
    _flag: "no value, or true or false",
    _file: 'a file or a public corpus, within "" if it has a comma or " + " in it',
    _steps: "SECONDS@RATE, several divided by /",
}
"""What the text must be, by its reader, which raises an error for any other."""


def _mmpp(states: list[tuple[float, float]]) -> MMPP:
    return MMPP(rates=[rate for _, rate in states], sojourns=[seconds for seconds, _ in states])


_WINDOW = {"start": float, "stop": float}
_RATE = {"rate": float}

_FORMS = {
    "poisson": _Form("poisson:RATE", Poisson, _RATE),
    "gamma": _Form("gamma:RATE,cv=CV", Gamma, {**_RATE, "cv": float}),
    "weibull": _Form("weibull:RATE,cv=CV", Weibull, {**_RATE, "cv": float}),
    "deterministic": _Form("deterministic:RATE", Deterministic, _RATE),
    "mmpp": _Form("mmpp:MEAN_SECONDS@RATE/…", _mmpp, {"states": _steps}),
    "burst": _Form(
        "burst:rate=RATE,peak=RATE,on=MEAN_SECONDS,off=MEAN_SECONDS",
        burst,
        {**_RATE, "peak": float, "on": float, "off": float},
        leads=False,
    ),
    "piecewise": _Form("piecewise:SECONDS@RATE/…", Piecewise, {"steps": _steps}),
    "diurnal": _Form(
        "diurnal:RATE,amplitude=SHARE[,period=SECONDS][,peak_at=SECONDS]",
        Diurnal,
        {**_RATE, "amplitude": float, "period": float, "peak_at": float},
    ),
    "corpus": _Form(
        "corpus[:SPEEDx][,start=SECONDS][,stop=SECONDS]", CorpusTimes, {"speed": _speed, **_WINDOW}
    ),
    "trace": _Form(
        "trace:FILE[,speed=FACTOR][,start=SECONDS][,stop=SECONDS][,loop][,jitter=SECONDS]",
        Trace,
        {"source": _file, "speed": _speed, **_WINDOW, "loop": _flag, "jitter": float},
    ),
    "closed": _Form(
        "closed:users=N,think=SECONDS[,think_cv=1|0]",
        ClosedLoop,
        {"users": int, "think": float, "think_cv": int},
        leads=False,
    ),
}

GRAMMAR = "\n".join([*(form.written for form in _FORMS.values()), "A + B"])
"""The forms of all processes, one on each line."""

# A + without spaces may be part of a number or a name, unless a process follows it.
_PLUS = rf"\s\+\s|\+(?=(?:{'|'.join(_FORMS)}):)"


def as_arrivals(given: str | Arrivals) -> Arrivals:
    """The arrival process that a user gave as text or as itself.

    Raises
    ------
    SimulationError
        If it is neither, or the text is not allowed.
    """
    return given if isinstance(given, Arrivals) else parse_arrivals(given)


@argument_hints
def parse_arrivals(text: str) -> Arrivals:
    """Read an arrival process from text.

    Parameters
    ----------
    text : str
        One of the forms of :data:`GRAMMAR`. Rates are in arrivals per second. A
        FILE is a path, or the name of a public corpus.

    Raises
    ------
    SimulationError
        If it is no text or has none of these forms, or a value is not allowed.
    """
    if not isinstance(text, str):
        raise SimulationError(
            f"arrivals is {type_of(text)}: give a process such as rs.Poisson(4), a "
            "text such as 'poisson:4', or times as rs.Trace(times)"
        )
    processes = [_process(term.strip()) for term in _split(text, _PLUS)]
    if len(processes) == 1:
        return processes[0]
    try:
        return Superposition(tuple(processes))
    except SimulationError as error:
        raise SimulationError(f"{text}: {_said(error)}; write A + B") from None


def _process(text: str) -> Arrivals:
    name, _, rest = text.partition(":")
    form = _FORMS.get(name)
    if form is None:
        forms = "; ".join(GRAMMAR.split("\n"))
        hint = did_you_mean(name, _FORMS)
        raise SimulationError(f"no arrivals {text!r}: there are {forms}{hint}")
    given: dict[str, Any] = {}
    names = list(form.readers)
    for k, part in enumerate(_split(rest, ",") if rest else []):
        part = part.strip()
        key, equals, value = part.partition("=")
        if k == 0 and form.leads and (not equals or form.readers[names[0]] is _file):
            key, value = names[0], part
        elif not equals and form.readers.get(key) is not _flag:
            raise _wrong(form, text, f"{part!r} is no NAME=VALUE")
        if key not in form.readers:
            raise _wrong(form, text, f"no {key!r} here, there are {', '.join(names)}")
        if key in given:
            raise _wrong(form, text, f"{key} is given twice")
        try:
            given[key] = form.readers[key](value)
        except (KeyError, ValueError):
            needed = _NEEDED[form.readers[key]]
            raise _wrong(form, text, f"{key} is {value!r}, needs {needed}") from None
    wanted = inspect.signature(form.make).parameters.values()
    missing = [p.name for p in wanted if p.default is p.empty and p.name not in given]
    if missing:
        raise _wrong(form, text, f"{' and '.join(missing)} missing")
    try:
        return form.make(**given)
    except SimulationError as error:
        raise _wrong(form, text, _said(error)) from None


def _split(text: str, separator: str) -> list[str]:
    """Split at the separator (a pattern), except within double quotes."""
    parts = [""]
    for piece in re.split(r'("[^"]*")', text):
        first, *others = [piece] if piece.startswith('"') else re.split(separator, piece)
        parts[-1] += first
        parts += others
    return parts


def _said(error: SimulationError) -> str:
    """The message of a process's constructor, without the name of the class."""
    return str(error).partition(": ")[2]


def _wrong(form: _Form, text: str, said: str) -> SimulationError:
    return SimulationError(f"{text}: {said}; write {form.written}")
