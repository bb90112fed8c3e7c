"""The grammar of arrival processes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.errors import SimulationError
from routingsim.simulation.arrivals import (
    GRAMMAR,
    MMPP,
    Arrivals,
    ClosedLoop,
    CorpusTimes,
    Deterministic,
    Diurnal,
    Gamma,
    Piecewise,
    Poisson,
    Superposition,
    Trace,
    Weibull,
    burst,
    parse_arrivals,
)

POSITIVE = st.floats(1e-6, 1e17)

RATES = st.floats(0, 1e6)

SECONDS = st.floats(-1e9, 1e9)

CVS = st.floats(0.001, 1000)

NAMES = st.text(
    st.characters(blacklist_characters='"', blacklist_categories=("Cs", "Cc")), min_size=1
)

STEPS = st.lists(st.tuples(POSITIVE, RATES), min_size=1, max_size=4).filter(
    lambda steps: any(rate for _, rate in steps)
)

WINDOWS = st.one_of(
    st.just((None, None)),
    st.tuples(SECONDS, st.none()),
    st.tuples(st.none(), SECONDS),
    st.tuples(SECONDS, SECONDS).filter(lambda window: window[0] < window[1]),
)

PARTS = st.one_of(
    st.builds(Poisson, POSITIVE),
    st.builds(Deterministic, POSITIVE),
    st.builds(Gamma, POSITIVE, CVS),
    st.builds(Weibull, POSITIVE, CVS),
    st.builds(burst, RATES, POSITIVE, POSITIVE, POSITIVE),
    STEPS.map(lambda steps: MMPP([rate for _, rate in steps], [mean for mean, _ in steps])),
    st.builds(Piecewise, STEPS),
    st.builds(Diurnal, POSITIVE, st.floats(0, 1), POSITIVE, st.none() | SECONDS),
    st.builds(
        lambda source, speed, window, loop, jitter: Trace(
            source, speed, window[0], window[1], loop, jitter
        ),
        NAMES,
        POSITIVE,
        WINDOWS,
        st.booleans(),
        st.floats(0, 1e6),
    ),
)

PROCESSES = st.one_of(
    PARTS,
    st.lists(PARTS, min_size=2, max_size=3).map(lambda parts: Superposition(tuple(parts))),
    st.builds(lambda speed, window: CorpusTimes(speed, *window), POSITIVE, WINDOWS),
    st.builds(ClosedLoop, st.integers(1, 10**6), RATES, st.sampled_from([0, 1])),
)


@pytest.mark.slow
@given(PROCESSES)
def test_what_is_written_reads_back_the_same(process: Arrivals) -> None:
    assert parse_arrivals(str(process)) == process


@given(st.text() | st.builds("{}:{}".format, st.sampled_from(["poisson", "mmpp"]), st.text()))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(SimulationError):
        assert isinstance(parse_arrivals(text), Arrivals)


@pytest.mark.parametrize(
    ("text", "process"),
    [
        ("poisson:4", Poisson(4)),
        ("poisson:rate=4", Poisson(4)),
        ("gamma:4,cv=2", Gamma(4, 2)),
        ("gamma:4, cv=2", Gamma(4, 2)),
        ("weibull:4,cv=0.5", Weibull(4, 0.5)),
        ("deterministic:4", Deterministic(4)),
        ("mmpp:60@2/10@20", MMPP(rates=(2, 20), sojourns=(60, 10))),
        ("burst:rate=2,peak=20,on=10,off=60", MMPP(rates=(2, 20), sojourns=(60, 10))),
        ("piecewise:60@2/30@10", Piecewise(((60, 2), (30, 10)))),
        ("diurnal:4,amplitude=0.8,period=86400", Diurnal(4, 0.8)),
        ("corpus", CorpusTimes()),
        ("corpus:2x", CorpusTimes(2)),
        ("corpus:start=60,stop=120", CorpusTimes(1, 60, 120)),
        ("corpus:0.5x,start=60", CorpusTimes(0.5, 60)),
        ("trace:a.csv", Trace("a.csv")),
        ("trace:a.csv,speed=2,start=0,stop=600,loop,jitter=3", Trace("a.csv", 2, 0, 600, True, 3)),
        ("trace:a:b=c.csv,loop=false", Trace("a:b=c.csv")),
        ('trace:"a, b + c.csv",speed=2 + poisson:4', Trace("a, b + c.csv", 2) + Poisson(4)),
        ("closed:users=20,think=10", ClosedLoop(20, 10)),
        ("closed:users=20,think=10,think_cv=0", ClosedLoop(20, 10, 0)),
        ("poisson:1+burst:rate=0,peak=2,on=1,off=1", Poisson(1) + burst(0, 2, 1, 1)),
        ("trace:a+b.csv+poisson:1e+2", Trace("a+b.csv") + Poisson(1e2)),
        (" poisson:1 +  gamma:2,cv=3 + poisson:1e+16 ", Poisson(1) + Gamma(2, 3) + Poisson(1e16)),
    ],
)
def test_the_grammar(text: str, process: Arrivals) -> None:
    assert parse_arrivals(text) == process


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "poisson:-4",
            "poisson:-4: rate is -4, needs a number above 0 (arrivals a second); "
            "write poisson:RATE",
        ),
        ("poisson:4/s", "poisson:4/s: rate is '4/s', needs a number; write poisson:RATE"),
        ("poisson", "poisson: rate missing; write poisson:RATE"),
        (
            "trace:",
            "trace:: source missing; write trace:FILE[,speed=FACTOR][,start=SECONDS]"
            "[,stop=SECONDS][,loop][,jitter=SECONDS]",
        ),
        ("poisson:", "poisson:: rate missing; write poisson:RATE"),
        ("poisson:4,3", "poisson:4,3: '3' is no NAME=VALUE; write poisson:RATE"),
        ("poisson:4,cv=3", "poisson:4,cv=3: no 'cv' here, there are rate; write poisson:RATE"),
        ("poisson:4,rate=3", "poisson:4,rate=3: rate is given twice; write poisson:RATE"),
        ("gamma:4", "gamma:4: cv missing; write gamma:RATE,cv=CV"),
        (
            "poisson:1 + gamma:4,cv=-1",
            "gamma:4,cv=-1: cv is -1, needs a number from 0.001 to 1000; for equal gaps take "
            "deterministic; write gamma:RATE,cv=CV",
        ),
        (
            "piecewise:60@2/30",
            "piecewise:60@2/30: steps is '60@2/30', needs SECONDS@RATE, several divided by /; "
            "write piecewise:SECONDS@RATE/…",
        ),
        (
            "burst:2,peak=3,on=1,off=1",
            "burst:2,peak=3,on=1,off=1: '2' is no NAME=VALUE; "
            "write burst:rate=RATE,peak=RATE,on=MEAN_SECONDS,off=MEAN_SECONDS",
        ),
        (
            "closed:users=2.5,think=1",
            "closed:users=2.5,think=1: users is '2.5', needs a whole number; "
            "write closed:users=N,think=SECONDS[,think_cv=1|0]",
        ),
    ],
)
def test_the_grammar_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(SimulationError) as caught:
        parse_arrivals(text)
    assert str(caught.value) == said


@pytest.mark.parametrize("text", ["", "posson:4", "4", "poisson:4 + ", "trace"])
def test_an_unknown_process_is_shown_the_grammar(text: str) -> None:
    with pytest.raises(SimulationError) as caught:
        parse_arrivals(text)
    forms = GRAMMAR.split("\n")
    assert any(form in str(caught.value) for form in forms)


@pytest.mark.parametrize("text", ['trace:""', 'trace:"a', 'trace:a"b', 'trace:"a"b"'])
def test_a_file_is_named(text: str) -> None:
    with pytest.raises(SimulationError, match="needs a file or a public corpus"):
        parse_arrivals(text)


def test_a_flag_stands_alone() -> None:
    with pytest.raises(SimulationError, match="loop is '2', needs no value, or true or false"):
        parse_arrivals("trace:a.csv,loop=2")
