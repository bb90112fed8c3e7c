"""An agent's service, fitted to a log of its calls (service_fit), and pools of such agents."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.errors import AgentError, CorpusError
from routingsim.simulation.calibration import fit_pool
from routingsim.simulation.service_fit import ServiceFit, fit_service

from .logs_of_known_truth import starts

PLANTED = {"ttft": 0.4, "tokens_per_second": 60.0, "latency_cv": 0.3, "error_rate": 0.1}


def a_log(calls: int, seed: int, *, ttft: float = 0.4, speed: float = 60.0, cv: float = 0.3):
    """Calls of an agent with these parameters and one error in ten."""
    rng = np.random.default_rng(seed)
    tokens = rng.lognormal(5.5, 0.8, calls).round()
    s = math.log1p(cv * cv)
    noise = np.exp(math.sqrt(s) * rng.standard_normal(calls) - s / 2)
    status = np.where(rng.random(calls) < 0.1, "failed", "ok")
    return pd.DataFrame(
        {"latency": (ttft + tokens / speed) * noise, "tokens": tokens, "status": status}
    )


def z_scores(fit: ServiceFit) -> list[float]:
    """How many standard errors each parameter is off the planted one."""
    estimates = {name: getattr(fit, name) for name in PLANTED}
    return [(found.value - PLANTED[name]) / found.error for name, found in estimates.items()]


@pytest.mark.slow
@pytest.mark.parametrize("calls", [30, 1_000, 100_000])
def test_planted_parameters_come_back_within_their_standard_errors(calls: int) -> None:
    fit = fit_service(a_log(calls, seed=calls + 1))
    assert fit.model == "tokens"
    assert np.abs(z_scores(fit)).max() < 4
    assert fit.calls == calls == fit.used + fit.failed
    assert any("are few" in said for said in fit.notes) == (fit.used < 30)


@pytest.mark.slow
def test_standard_errors_are_as_long_as_errors_are() -> None:
    """The mean square of z is 1; over 40 fits it is within 0.5 and 1.8 but once in 10,000."""
    z = np.array([z_scores(fit_service(a_log(300, seed))) for seed in range(40)])
    assert (np.square(z).mean(axis=0) > 0.5).all()
    assert (np.square(z).mean(axis=0) < 1.8).all(), np.square(z).mean(axis=0)


def test_goodness_of_fit_is_that_of_the_noise() -> None:
    fit = fit_service(a_log(20_000, seed=1))
    assert fit.ks < 0.02
    assert 0.8 < fit.r_squared < 0.9
    assert fit.median_error == pytest.approx(0.6745 * 0.3, rel=0.05)
    exact = fit_service(a_log(50, seed=1, cv=0.0))
    assert exact.ttft is not None
    assert exact.ttft.value == pytest.approx(0.4)
    assert exact.r_squared == pytest.approx(1)
    assert exact.latency_cv.value < 1e-5


def test_without_tokens_latency_is_a_lognormal_of_its_own() -> None:
    log = a_log(5_000, seed=2).filter(["latency"])
    fit = fit_service(log)
    assert fit.model == "lognormal"
    assert fit.ttft is fit.tokens_per_second is fit.output_tokens is None
    spread = np.log(log["latency"]).std(ddof=0)
    assert fit.latency.value == pytest.approx(np.exp(np.log(log["latency"]).mean() + spread**2 / 2))
    assert fit.latency_cv.value == pytest.approx(math.sqrt(math.expm1(spread**2)), rel=1e-3)
    assert math.isnan(fit.error_rate.error)


@pytest.mark.parametrize("tokens", [100.0, None])
def test_tokens_that_explain_nothing_are_put_aside(tokens: float | None) -> None:
    log = a_log(500, seed=3)
    if tokens is None:
        log["latency"] = 10 / (1 + log["tokens"])
    else:
        log["tokens"] = tokens
    fit = fit_service(log)
    assert fit.model == "lognormal"
    assert "without them" in " ".join(fit.notes)


def test_first_token_at_once_is_said_to_be_at_the_bound() -> None:
    log = a_log(2_000, seed=4, ttft=0.0)
    log["latency"] -= 0.3 * log["latency"].min()
    fit = fit_service(log)
    assert fit.ttft is not None
    assert fit.ttft.value == 0
    assert math.isnan(fit.ttft.error)
    assert "at its bound" in " ".join(fit.notes)


def test_stalls_are_left_out_and_counted() -> None:
    log = a_log(1_000, seed=5)
    answered = np.flatnonzero(log["status"] == "ok")
    log.loc[answered[:20], "latency"] *= 1_000
    fit = fit_service(log)
    assert fit.outliers == 20
    assert np.abs(z_scores(fit)).max() < 4
    assert any("20 answered calls" in said for said in fit.notes)


def test_noise_of_another_shape_is_said_to_be_so() -> None:
    log = a_log(2_000, seed=6)
    log["latency"] = np.where(np.arange(2_000) % 2, 1.0, 5.0)
    fit = fit_service(log.filter(["latency"]))
    assert fit.ks > 0.3
    assert "far from lognormal" in " ".join(fit.notes)


@pytest.mark.parametrize("status", [[True] * 9 + [False], ["ok"] * 9 + ["timeout"]])
def test_status_is_a_boolean_or_a_word(status: list[object]) -> None:
    fit = fit_service(a_log(10, seed=7).assign(status=status))
    assert fit.error_rate.value == pytest.approx(0.1)
    assert fit.failed == 1


def test_failed_calls_need_no_latency() -> None:
    log = a_log(100, seed=8)
    log.loc[log["status"] == "failed", ["latency", "tokens"]] = np.nan
    assert fit_service(log).used == (log["status"] == "ok").sum()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("latency", "soon", "latency: expected a number, found 'soon'"),
        ("latency", math.inf, "latency: expected a number, found inf"),
        ("tokens", -1.0, "tokens: expected a finite number >= 0, found -1.0"),
        ("status", 42, "status: 42 is not known; an answered call is ok"),
    ],
)
def test_a_bad_value_is_named_by_row_and_column(column: str, value: object, message: str) -> None:
    log = a_log(50, seed=9).assign(status="ok")
    log[column] = log[column].astype(object)
    log.loc[7, column] = value
    with pytest.raises(CorpusError, match=rf"frame, row 8: {message}"):
        fit_service(log)


@pytest.mark.parametrize(
    ("column", "value", "note"),
    [
        ("latency", 0.0, "1 call takes no time (the first: frame-00008): their latency"),
        ("latency", -2.0, "1 call ends before it begins (the first: frame-00008)"),
        ("latency", math.nan, "1 answered call without a latency: left out of the fit"),
        ("tokens", math.nan, "1 answer without tokens: left out of the fit"),
    ],
)
def test_what_is_not_recorded_of_a_call_is_counted(column: str, value: float, note: str) -> None:
    log = a_log(50, seed=9).assign(status="ok")
    log.loc[7, column] = value
    fit = fit_service(log)
    assert any(said.startswith(note) for said in fit.notes), fit.notes
    assert fit.used + fit.outliers == 49
    assert fit.calls == 50


def test_what_logs_say_in_other_ways_is_understood() -> None:
    log = a_log(200, seed=19)
    plain = repr(fit_service(log))
    loud = fit_service(log.assign(status=log["status"].str.upper()))
    assert loud.notes == ("status: 'OK' read as answered; 'FAILED' read as failed",)
    assert repr(dataclasses.replace(loud, notes=())) == plain
    spans = fit_service(log.assign(latency=log["latency"] * pd.Timedelta(seconds=1)))
    assert spans.latency.value == pytest.approx(fit_service(log).latency.value)


def test_logs_that_cannot_be_fitted_are_refused() -> None:
    log = a_log(50, seed=10)
    with pytest.raises(CorpusError, match="it has no 'agent' or 'arrived_at' or 'latency'"):
        fit_service(log.drop(columns="latency"))
    with pytest.raises(CorpusError, match="no latency is recorded"):
        fit_service(log.assign(latency=math.nan))
    with pytest.raises(CorpusError, match="0 of 50 calls are answered"):
        fit_service(log.assign(status="failed"))
    with pytest.raises(CorpusError, match="holds no call"):
        fit_service(log.head(0))
    with pytest.raises(CorpusError, match="two columns have the same name"):
        fit_service(log.rename(columns={"tokens": "latency"}))
    with pytest.raises(CorpusError, match="not a dict"):
        fit_service({"latency": [1.0]})  # pyright: ignore[reportArgumentType]
    renamed = log.rename(columns={"latency": "response_time_ms"})
    with pytest.raises(
        CorpusError, match="to start from: --map output_tokens=tokens,latency=response_time_ms:ms,"
    ):
        fit_service(renamed)


def test_an_agent_is_made_of_a_fit() -> None:
    fit = fit_service(a_log(5_000, seed=11))
    agent = fit.agent(id="mine", cost=0.01, concurrency=16)
    assert agent.service == "tokens"
    assert (agent.id, agent.name, agent.cost, agent.concurrency) == ("mine", "mine", 0.01, 16)
    for name in PLANTED:
        assert getattr(agent, name) == getattr(fit, name).value
    assert fit.agent(id="mine", cost=0, error_rate=0.5).error_rate == 0.5
    with pytest.raises(AgentError, match=r"agent 'mine': .*concurrency"):
        fit.agent(id="mine", cost=0.01, concurrency=0)
    with pytest.raises(AgentError, match="'a b'"):
        fit.agent(id="a b", cost=0.01)


@pytest.mark.slow
def test_a_replay_of_the_fitted_agent_is_fitted_the_same() -> None:
    """Round trip: what the engine simulates from a fit gives that fit again."""
    truth = Agent(id="a", name="A", cost=0, latency=2.0, latency_cv=0.7, error_rate=0.2)
    result = rs.replay(None, AgentPool((truth,)), "static:a", tasks=20_000, seed=12)
    calls = result.to_frame().rename(columns={"service": "latency", "latency": "whole"})
    fit = fit_service(calls.filter(["latency", "status"]))
    for name in ("latency", "latency_cv", "error_rate"):
        found = getattr(fit, name)
        assert abs(found.value - getattr(truth, name)) < 4 * found.error, name


@pytest.mark.slow
def test_a_pool_is_made_of_a_log() -> None:
    log = pd.concat(
        {"fast": a_log(400, 13, speed=90.0), "slow": a_log(300, 14, speed=20.0)}, names=["agent"]
    ).reset_index("agent")
    log = log.sample(frac=1, random_state=15)
    pool, fits = fit_pool(log, cost={"slow": 0.001, "fast": 0.02}, concurrency=8)
    assert sorted(pool.ids) == ["fast", "slow"]
    assert list(fits) == list(pool.ids) == list(log["agent"].unique())
    assert fits["slow"].calls == 300
    assert pool["slow"] == fits["slow"].agent(id="slow", cost=0.001, concurrency=8)
    assert pool.column("tokens_per_second")[pool.index("fast")] == pytest.approx(90, rel=0.1)
    assert len(rs.replay(None, pool, "least-loaded", tasks=100)) == 100


def test_names_that_are_no_ids_become_ids() -> None:
    log = pd.concat([a_log(40, 20).assign(agent="GPT 4o (mini)"), a_log(40, 21).assign(agent=7)])
    pool, fits = fit_pool(log, cost={"GPT 4o (mini)": 0.1, 7: 0.2})
    assert pool.ids == tuple(fits) == ("GPT-4o-mini", "7")
    assert pool.to_frame()["name"].tolist() == ["GPT 4o (mini)", "7"]


def test_prices_are_recorded_costs_over_recorded_tokens() -> None:
    log = a_log(40, seed=16).assign(agent="a", prompt_tokens=100.0)
    log["cost"] = 2e-6 * (100 + log["tokens"])
    pool, _ = fit_pool(log)
    assert pool["a"].cost == pytest.approx(0.002)


def test_calls_that_a_cache_answered_are_in_no_fit() -> None:
    log = a_log(60, seed=30).assign(status="ok")
    log.loc[:19, ["status", "latency"]] = ["cached", 0.001]
    fit = fit_service(log)
    assert (fit.calls, fit.failed) == (40, 0)
    assert "20 calls answered from a cache: left out" in fit.notes


@pytest.mark.slow
def test_a_pool_needs_names_and_prices() -> None:
    log = a_log(40, seed=16).assign(agent="a")
    with pytest.raises(AgentError, match="cost: nothing for agent 'a'; there is one for b"):
        fit_pool(log, cost={"b": 1.0})
    with pytest.raises(CorpusError, match="no call names its agent; say which column does"):
        fit_pool(log.drop(columns="agent"), cost=1.0)
    with pytest.raises(AgentError, match="the log records no costs and tokens of agent 'a'"):
        fit_pool(log)
    log.loc[3, "agent"] = None
    assert "1 call of no named agent: in no fit" in fit_pool(log, cost=1.0)[1]["a"].notes
    with pytest.raises(CorpusError, match="agent 'b': 2 of 2 calls"):
        fit_pool(a_log(42, 17).assign(status=True, agent=["a"] * 40 + ["b"] * 2), cost=1.0)


def test_a_fit_shows_itself() -> None:
    fit = fit_service(a_log(100, seed=18))
    assert repr(fit).startswith("ServiceFit: tokens model of ")
    for word in ("ttft", "±", "R²", "error rate"):
        assert word in repr(fit)
        assert word in fit._repr_html_()


# -- what the fit did not see -----------------------------------------------------------


def longer_than(seconds: float, seed: int, calls: int = 2_000) -> tuple[float, pd.DataFrame]:
    """Calls of 20 to 800 tokens, given up after some seconds; their true mean latency, too."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(20, 800, calls)
    noise = rng.lognormal(-0.02, 0.2, calls)
    whole = (0.37 + tokens / 60) * noise
    cut = whole > seconds
    log = pd.DataFrame({"latency": np.minimum(whole, seconds), "tokens": tokens})
    return 0.37 + 409.5 / 60, log.assign(status=np.where(cut, "timeout", "ok"))


def covers(fit: ServiceFit, truth: float) -> bool:
    low, high = fit.latency.interval
    return low < truth < high


@pytest.mark.slow
def test_calls_that_were_given_up_are_fitted_as_longer_ones() -> None:
    """44 % of calls are given up at 8 s: their answers alone take 4.4 s, all calls 7.20 s."""
    truth, log = longer_than(8.0, seed=22)
    assert truth == pytest.approx(7.195)
    assert 0.40 < np.mean(log["status"] == "timeout") < 0.46
    fit = fit_service(log)
    assert fit.model == "tokens"
    assert covers(fit, truth)
    assert fit.latency.error < 0.15
    assert fit.tokens_per_second is not None
    assert abs(fit.tokens_per_second.value - 60) < 4 * fit.tokens_per_second.error
    assert fit.given_up == fit.failed == (log["status"] == "timeout").sum()
    assert fit.used + fit.given_up == fit.latency.calls == 2_000
    answers = log.loc[log["status"] == "ok", "latency"].mean()
    assert fit.notes[-1] == (
        f"{fit.given_up} of 2,000 calls were given up at 8 s: they are fitted as calls that take "
        f"longer, with a mean of {fit.latency.value:.4g} s; answers alone have {answers:.4g} s. "
        "Their tokens are taken to be those of the whole answer"
    )
    alone = fit_service(log.query("status == 'ok'"))
    assert not covers(alone, truth)
    assert alone.latency.value < 4.6
    assert "given up" not in " ".join(alone.notes)


@pytest.mark.slow
def test_standard_errors_allow_for_calls_that_were_given_up() -> None:
    """The mean square of z is 1; over 40 fits it is within 0.5 and 1.8 but once in 10,000."""
    z = []
    for seed in range(40):
        truth, log = longer_than(8.0, seed, calls=400)
        fit = fit_service(log)
        assert fit.ttft is not None
        assert fit.tokens_per_second is not None
        planted = {"latency": truth, "ttft": 0.37, "tokens_per_second": 60.0}
        found = {name: getattr(fit, name) for name in planted}
        z.append([(found[name].value - planted[name]) / found[name].error for name in planted])
    squares = np.square(z).mean(axis=0)
    assert (squares > 0.5).all(), squares
    assert (squares < 1.8).all(), squares


@pytest.mark.slow
@pytest.mark.parametrize("how", ["no tokens", "tokens 0", "no status", "failed"])
def test_without_their_tokens_the_mean_has_an_error_that_allows_for_what_is_not_seen(
    how: str,
) -> None:
    truth, log = longer_than(8.0, seed=23)
    if how == "tokens 0":
        log["tokens"] = log["tokens"].where(log["status"] == "ok", 0)
    else:
        log = log.drop(columns="tokens")
    if how == "no status":
        log = log.drop(columns="status")
    if how == "failed":
        log["status"] = log["status"].replace("timeout", "failed")
    fit = fit_service(log)
    assert fit.model == "lognormal"
    assert covers(fit, truth)
    assert fit.latency.interval[0] < np.mean(log["latency"]) < fit.latency.value
    said = " ".join(fit.notes)
    assert "likelier of gamma and lognormal, and its error allows for another one" in said
    assert ("have no tokens, and longer answers are given up more often" in said) == (
        how == "tokens 0"
    )
    assert ("calls end at 8 s, the largest latency: they are taken as" in said) == (
        how in ("no status", "failed")
    )


@pytest.mark.slow
def test_the_law_itself_comes_back_from_calls_that_were_given_up() -> None:
    """A lognormal of mean 6 and cv 0.6: about a quarter of the calls take more than 8 s."""
    rng = np.random.default_rng(24)
    s = math.log1p(0.36)
    whole = 6 * rng.lognormal(-s / 2, math.sqrt(s), 20_000)
    cut = whole > 8
    log = pd.DataFrame({"latency": np.minimum(whole, 8), "success": ~cut})
    log["status"] = np.where(cut, 504, 200)
    fit = fit_service(log)
    assert fit.latency.value == pytest.approx(6, rel=0.03)
    assert abs(fit.latency_cv.value - 0.6) < 4 * fit.latency_cv.error
    assert fit.ks < 0.02
    assert "the mean follows from the lognormal law" in fit.notes[-1]
    assert fit.notes[:2] == (
        "status: 200 read as answered; 504 read as given up",
        "columns not used: success",
    )


@pytest.mark.slow
def test_the_likelier_law_gives_the_mean_of_what_is_not_seen() -> None:
    """Exponential calls of 7.2 s, of which a third is given up at 8 s: a gamma law, of cv 1."""
    whole = np.random.default_rng(29).exponential(7.2, 5_000)
    log = pd.DataFrame({"latency": np.minimum(whole, 8.0)})
    log["status"] = np.where(whole > 8, "timeout", "success")
    fit = fit_service(log)
    assert fit.latency.value == pytest.approx(7.2, rel=0.06)
    assert fit.latency_cv.value == pytest.approx(1.0, abs=0.06)
    assert covers(fit, 7.2)
    assert "the mean follows from the gamma law" in " ".join(fit.notes)


@pytest.mark.slow
def test_a_few_calls_given_up_leave_the_fit_by_tokens_and_are_counted() -> None:
    log = a_log(1_000, seed=25)
    log.loc[:4, ["status", "tokens", "latency"]] = ["timeout", 0, 60.0]
    fit = fit_service(log)
    assert (fit.model, fit.given_up) == ("tokens", 0)
    assert "5 calls given up have no tokens: left out of the fit" in fit.notes
    log.loc[:4, "latency"] = np.nan
    assert "5 calls given up have no latency: they count as failed only" in fit_service(log).notes


@pytest.mark.slow
def test_zero_tokens_are_no_instant_answers() -> None:
    log = a_log(1_000, seed=26)
    failed = log["status"] == "failed"
    plain = fit_service(log)
    log.loc[failed, "tokens"] = 0
    fit = fit_service(log)
    assert (fit.ttft, fit.output_tokens) == (plain.ttft, plain.output_tokens)
    assert fit.notes == (f"{failed.sum()} failed calls of 0 tokens are left out of the fit",)
    unsaid = fit_service(log.drop(columns="status"))
    assert (unsaid.ttft, unsaid.output_tokens) == (plain.ttft, plain.output_tokens)
    assert unsaid.empty == failed.sum()
    assert unsaid.notes == (
        "no status column: every call is taken as answered",
        f"{failed.sum()} answered calls of 0 tokens are left out: they are no instant answers; if "
        "they failed, say so in the status",
    )
    assert f"{failed.sum()} of 0 tokens)" in repr(unsaid)
    none = fit_service(log.assign(tokens=0))
    assert none.model == "lognormal"
    assert none.output_tokens is none.ttft is None
    assert "hardly any answer has tokens: latency is fitted without them" in none.notes


@pytest.mark.slow
def test_a_fit_says_how_many_calls_each_figure_rests_on() -> None:
    log = a_log(1_000, seed=27)
    answered = (log["status"] == "ok").sum()
    fit = fit_service(log)
    assert fit.latency.calls == fit.latency_cv.calls == answered
    assert fit.error_rate.calls == 1_000
    assert f"({answered} calls)\n" in repr(fit)
    assert "(1,000 calls)\n" in repr(fit)
    assert fit.notes == ()
    more = fit_service(log.assign(model="m", region="r"))
    said = "columns not used: model, region; to use them, --map agent=model"
    assert more.notes == (said,)
    assert "note: columns not used: model, region" in repr(more)
    assert "note: columns not used: model, region" in more._repr_html_()


@pytest.mark.slow
def test_a_fitted_pool_is_saved_with_the_calls_behind_each_field(tmp_path: Path) -> None:
    log = a_log(400, seed=28).assign(agent="GPT 4o")
    pool, fits = fit_pool(log, cost=0.01, concurrency=8)
    fit = fits["GPT-4o"]
    assert rs.load_agents(pool.save(tmp_path / "mine.toml")) == pool
    lines = pool.to_toml().splitlines()
    assert lines[0] == f"# service fitted: {fit._headline}"
    assert lines[1:4] == ["[[agents]]", 'id = "GPT-4o"', 'name = "GPT 4o"']
    assert fit.ttft is not None
    value = fit.ttft.value
    assert f"ttft = {value!r}  # fitted: {fit.ttft}, {fit.used} calls" in lines
    assert f"output_tokens = {fit.output_tokens!r}  # mean of the log, {fit.used} calls" in lines
    assert {"concurrency = 8", "cost = 0.01", 'outcome = "GPT 4o"'} < set(lines)
    given, _ = fit_pool(log, cost=0.01, error_rate=0.0)
    assert "error_rate = 0.0" in given.to_toml().splitlines()


# -- all of a log in one call --------------------------------------------------------


@pytest.mark.slow
def test_a_log_is_calibrated_in_one_call(tmp_path: Path) -> None:
    """Two agents of known prices, speeds and slots, three days long."""
    rng = np.random.default_rng(5)
    frames = []
    for agent, speed, into, out in (("big", 40.0, 2.5, 10.0), ("small", 120.0, 0.15, 0.6)):
        size = 3_000
        prompt = rng.lognormal(6, 1, size).round()
        tokens = rng.lognormal(5, 0.6, size).round() + 1
        first = 0.4 * rng.lognormal(-0.02, 0.2, size)
        takes = first + tokens / speed * rng.lognormal(-0.005, 0.1, size)
        arrived = np.sort(rng.random(size) * 3 * 86_400)
        begun = starts(arrived, takes, 1 if agent == "big" else 999)
        status = rng.choice(["ok", "failed", "timed_out"], size, p=[0.9, 0.08, 0.02])
        frames.append(
            pd.DataFrame({
                "agent": agent, "arrived_at": begun, "prompt_tokens": prompt,
                "output_tokens": tokens, "ttft": first, "latency": takes, "status": status,
                "cost": (into * prompt + out * tokens) / 1e6,
            })
        )  # fmt: skip
    frame = pd.concat(frames).sort_values("arrived_at").reset_index(drop=True)
    frame["call_id"] = frame.index.astype(str)
    frame["arrived_at"] = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(
        frame["arrived_at"].to_numpy(), unit="s"
    )
    found = rs.read_log(frame).calibrate()
    big, small = found.pool
    assert (big.price_input, big.price_output) == (2.5, 10.0)
    assert (small.price_input, small.price_output) == (0.15, 0.6)
    fit = found.fits["big"]
    assert fit.ttft is not None
    assert fit.ttft.value == pytest.approx(0.4, rel=0.02)
    assert big.tokens_per_second == pytest.approx(40.0, rel=0.03)
    assert small.tokens_per_second == pytest.approx(120.0, rel=0.03)
    kinds = {kind: of.value for kind, of in fit.errors.items()}
    assert kinds == pytest.approx({"failed": 0.08, "timed_out": 0.02}, abs=0.015)
    assert fit.error_rate.value == pytest.approx(sum(kinds.values()))
    assert (big.concurrency, fit.limits is not None and fit.limits.at_once.binds) == (1, True)
    assert found.arrivals is not None
    assert found.arrivals.shape == "steady"
    text = found.pool.to_toml()
    for said in (
        "# arrivals inferred: steady, ",
        "price_input = 2.5  # inferred from the costs of ",
        "concurrency = 1  # inferred: the most calls at once, reached ",
        "# assumed: the log shows no limit; at most ",
        ": failed 0.0",
        "ttft = 0.",
    ):
        assert said in text, said
    assert rs.load_agents(found.save(tmp_path / "mine.toml")) == found.pool
    assert rs.read_log(frame).fit_pool()[0] == found.pool
    assert "arrivals: steady, " in repr(found)
    assert "price input" in found._repr_html_()
    # What is given is not inferred.
    given = rs.read_log(frame).calibrate(cost=0.01, concurrency=8)
    assert {(a.cost, a.price_input, a.concurrency) for a in given.pool} == {(0.01, None, 8)}
    assert "the costs of" not in given.pool.to_toml()
    own = {"price_input": {"big": 1.0, "small": 2.0}, "price_output": 3.0}
    priced = rs.read_log(frame).calibrate(**own).pool
    assert [(a.price_input, a.price_output) for a in priced] == [(1.0, 3.0), (2.0, 3.0)]
