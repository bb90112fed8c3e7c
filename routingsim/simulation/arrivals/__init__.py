"""When tasks arrive: models, recorded traces, and sums of these.

A process is a frozen value. ``process.times(n, seed)`` gives arrival times in
seconds from 0. Random numbers are keyed (:mod:`routingsim.rng`): the same seed
gives the same times, the first n do not depend on n, and two processes under one
seed share their random numbers.

On the command line a process is a text such as ``poisson:4``, which
:func:`parse_arrivals` reads and ``str(process)`` writes.
"""

from routingsim.simulation.arrivals.closed import ClosedLoop
from routingsim.simulation.arrivals.grammar import GRAMMAR, as_arrivals, parse_arrivals
from routingsim.simulation.arrivals.process import Arrivals, Superposition, realised
from routingsim.simulation.arrivals.recorded import CorpusTimes, Trace
from routingsim.simulation.arrivals.renewal import Deterministic, Gamma, Poisson, Weibull
from routingsim.simulation.arrivals.varying import MMPP, Diurnal, Piecewise, burst

__all__ = [
    "GRAMMAR",
    "MMPP",
    "Arrivals",
    "ClosedLoop",
    "CorpusTimes",
    "Deterministic",
    "Diurnal",
    "Gamma",
    "Piecewise",
    "Poisson",
    "Superposition",
    "Trace",
    "Weibull",
    "as_arrivals",
    "burst",
    "parse_arrivals",
    "realised",
]
