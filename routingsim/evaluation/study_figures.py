"""The figures of a study: rankings, intervals, verdicts, the decision, and areas under curves.

They are functions of its record, in ``study_intervals``, ``study_areas``, ``study_table`` and
``study_paper``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, overload

import numpy as np
import pandas as pd

from routingsim.errors import SimulationError
from routingsim.evaluation import (
    decision,
    study_areas,
    study_intervals,
    study_paper,
    study_table,
    study_text,
)
from routingsim.evaluation.cell import METRICS, OF_TENANTS
from routingsim.evaluation.controls.permutation import TextUse
from routingsim.evaluation.intervals import Difference, t_interval
from routingsim.evaluation.ranking import Leader
from routingsim.evaluation.study_record import StudyRecord
from routingsim.evaluation.tabular import Tabular, records
from routingsim.simulation.conditions import as_plain
from routingsim.simulation.statistics import Interval


@dataclass(frozen=True, eq=False, repr=False)
class StudyFigures(StudyRecord, Tabular):
    """What :class:`routingsim.evaluation.study.Study` computes from its record."""

    _tables: dict[tuple[float, str], pd.DataFrame] = field(
        default_factory=dict, init=False, compare=False
    )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of the figures should know of agents, records, policies and corpus.

        Those shown before the figures come first.
        """
        return (*self.foremost, *study_text.below(self), *self.corpus.notes)

    @property
    def foremost(self) -> list[str]:
        """The ``cautions``: notes shown before the figures."""
        return list(self.cautions)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row per run: policy, kind, load, rate, replication, verdict and every metric."""
        frames = [
            pd.DataFrame({
                "policy": name,
                "kind": self.kinds[name],
                "load": load,
                "rate": load * self.capacity,
                "replication": np.arange(len(cell.figures)),
                "verdict": list(cell.verdicts),
                **dict(zip(METRICS, cell.figures.T, strict=True)),
            })
            for (name, load), cell in self.cells.items()
        ]  # fmt: skip
        return pd.concat(frames, ignore_index=True)

    def by_tenant(self) -> pd.DataFrame:
        """A row per policy, load and tenant: means over the runs; none where there are no tenants.

        Columns as those of :meth:`routingsim.ReplayResult.by_tenant`: tasks, share, service, wait
        and latency, first_token_p95, cost and quality_all. ``fairness`` in :attr:`runs` has
        Jain's index of each run.
        """
        rows = [
            {"policy": name, "load": load, "tenant": tenant or "none"}
            | dict(zip(OF_TENANTS, figures.tolist(), strict=True))
            for (name, load), cell in self.cells.items()
            if cell.tenants.size
            for tenant, figures in zip(self.tenant_names, cell.tenants.mean(axis=0), strict=True)
        ]
        return pd.DataFrame(rows, columns=["policy", "load", "tenant", *OF_TENANTS])

    def tenant_interval(self, name: str, load: float, tenant: str, metric: str) -> Interval:
        """The 95 % interval of a tenant's figure over replications; its columns are `by_tenant`'s.

        It is about these tasks alone, and has no half-width (NaN) of one run.
        """
        names = [each or "none" for each in self.tenant_names]
        if tenant not in names or metric not in OF_TENANTS:
            raise SimulationError(
                f"no figure {metric!r} of a tenant {tenant!r}: there are {', '.join(OF_TENANTS)} "
                f"of {', '.join(names) or 'no tenants'}"
            )
        at = names.index(tenant), OF_TENANTS.index(metric)
        return t_interval(self.cell(name, load).tenants[:, *at])

    def interval(self, name: str, load: float, metric: str) -> Interval:
        """The 95 % interval of a metric, over replications and, by default, over corpora.

        Without a half-width (NaN) where there are too few runs or tasks. Infinite if a replication
        is (cost per right answer). NaN for goodput and cost per right answer of runs that end
        before their backlog. For a log with one
        answer a task quality and cost are estimates (:meth:`estimates`), and NaN where
        the log cannot answer, as are the other metrics that rest on qualities. ``above`` and
        ``enough``, which only the assessment of a run gives, have no interval over corpora.
        """
        return study_intervals.interval(self, name, load, metric)

    @overload
    def differences(
        self, metric: str, load: float, *, baseline: str | None = None
    ) -> dict[str, Difference]: ...

    @overload
    def differences(
        self, metric: str, load: None = None, *, baseline: str | None = None
    ) -> pd.DataFrame: ...

    @overload
    def differences(
        self, metric: None = None, load: float | None = None, *, baseline: str | None = None
    ) -> pd.DataFrame: ...

    def differences(
        self, metric: str | None = None, load: float | None = None, *, baseline: str | None = None
    ) -> dict[str, Difference] | pd.DataFrame:
        """The difference of every other policy and control from the baseline, with verdicts.

        Of one metric at one load by name; else a table with a row for each metric, load and
        policy: load, metric, policy, kind, baseline, difference, low, high, p_value, verdict,
        method, correction.

        All are compared run by run under common random numbers, and allow for the corpus
        being a sample of tasks unless the study is about ``"these tasks"`` only: quality
        and cost by their variance over tasks (:mod:`routingsim.evaluation.two_way`), all
        other metrics by resampled corpora (:mod:`routingsim.evaluation.resampling`). The
        verdicts at one load hold together (Holm). There is "no verdict" with one run or
        with fewer than 50 different prompts, nor on the cost per right answer where runs
        are overloaded or one has none. Policies whose figures rest on different tasks are
        "not comparable", and so are rates, latencies and waits of policies whose runs end
        before their backlog (:func:`routingsim.simulation.stability.lasts`); for a log with
        one answer a task quality and cost are compared by estimates (:meth:`estimates`).
        """
        if metric is None or load is None:
            return study_paper.every_difference(self, metric, load, baseline)
        return study_intervals.differences(self, metric, load, baseline=baseline)

    def leader(self, load: float | None = None, *, by: str | None = None) -> Leader:
        """The policy that is first at a load, or those of which each may be the best.

        By the ranking metric and at the last load unless others are named. First is a
        policy of which each difference from another is significant by itself; behind are
        those that differ after Holm's correction for all pairs
        (:mod:`routingsim.evaluation.ranking`).
        """
        return study_intervals.leader(self, load, by=by)

    def leading(self, load: float | None = None, *, by: str | None = None) -> str:
        """The leader in a sentence; "" where there is only one policy, or no leader is known."""
        return study_intervals.leading(self, load, by=by)

    def decision(
        self,
        load: float | None = None,
        *,
        slo: Mapping[str, float] | None = None,
        quality: float | None = None,
        baseline: str | None = None,
    ) -> decision.Decision:
        """Which policy to use at a load, how sure that is, and what to do next.

        Without targets the answer is the knee of the frontier of quality, cost and p95
        (:mod:`routingsim.evaluation.decision_rule`).

        Parameters
        ----------
        load : float, optional
            One of the study's; the last by default.
        slo : mapping of str to float, optional
            Targets, spelled as for :func:`routingsim.capacity`: ``{"p95": 2.0}`` (s).
        quality : float, optional
            Least mean quality of all tasks, from 0 to 1.
        baseline : str, optional
            The policy in use; ``logged`` by default where it is in the study, else the first.

        Raises
        ------
        SimulationError
            If the load, a target or the baseline is unknown.
        """
        return decision.of_study(self, load=load, slo=slo, quality=quality, baseline=baseline)

    def uses_text(self, name: str, load: float | None = None) -> TextUse:
        """Whether a policy's choices fit their tasks better than the same choices shuffled.

        Tests the choices of all replications at a load, by default the first; those for tasks
        with the same or alike texts together (:func:`routingsim.policies.folds.prompts`),
        and of a policy that learns only the choices for texts that were new to the run.

        Raises
        ------
        CorpusError
            If no task has a recorded quality of every agent.
        """
        return study_table.uses_text(self, name, self.loads[0] if load is None else load)

    def aiq(
        self, load: float, names: Sequence[str] | None = None, *, metric: str = "quality_in_time"
    ) -> Interval:
        """RouterBench's AIQ under load: mean quality of the hull over a range of costs.

        The points are the policies (a router at several settings is several policies), or
        those in ``names``. Quality is that of answers in time. The range of costs is the
        same at every load, from the lowest to the highest mean cost of a point at any
        load, so that AIQs of one study can be compared. The interval is that of the study's
        other figures (:meth:`interval`).

        Raises
        ------
        CorpusError
            If the corpus records no quality.
        """
        return study_areas.aiq(self, load, names, metric)

    def apgr(
        self, load: float, names: Sequence[str] | None = None, *, metric: str = "quality_in_time"
    ) -> Interval:
        """RouteLLM's APGR under load, for a study with two agents.

        The points are the policies, or those in ``names``: quality of answers in time
        against the share of tasks sent to the strong agent. The curve ends at each agent
        alone. The gap to be recovered is that of recorded quality, without time limits
        and the same at every load, so that APGRs of one study can be compared; when all
        answers are in time this is :func:`routingsim.evaluation.apgr`. The interval is
        that of the study's other figures (:meth:`interval`). NaN where chance
        can explain the gap.

        Raises
        ------
        SimulationError
            If the pool does not have two agents, or one of them alone is not in the study.
        CorpusError
            If the corpus records no quality.
        """
        return study_areas.apgr(self, load, names, metric)

    def table(
        self,
        load: float | None = None,
        *,
        by: str | None = None,
        format: Literal["", "±"] = "",
    ) -> pd.DataFrame:
        """The ranking at a load (by default the last), best first.

        A rank is 1 more than the number of policies and controls that are shown to be
        better (:func:`routingsim.evaluation.ranking.ranks`), so those that cannot be
        distinguished may share it. Rows are in the order of the means.

        Columns: rank, policy, kind; each of the main metrics with its half-width; the
        share of answers whose quality is ``recorded`` where it is below 1 for any; the
        share of tasks answered; the stability verdict of most replications; the verdict
        against the baseline on the ranking metric ``by``; ``uses_text`` of each policy
        (whether it beats its own choices shuffled at this load, Holm over the policies;
        None for controls and if no quality is recorded); and ``in_sample``, the share of the
        tasks whose texts it was fitted or chosen on.

        For a log with one answer a task quality is estimated, ``estimate`` says how well
        ("answered", "weak" or "cannot"), and a rank is 1 more than the number of policies
        that are better by the intervals of all differences together. ``cost_estimate`` says the
        same of costs where these are estimated. Policies whose
        figures rest on other tasks than the baseline's have no rank, and by a rate or a
        latency those whose runs end before their backlog have none.

        With ``format="±"`` texts for Markdown: policy, main metrics as ``a ± b`` (cost per 1,000
        tasks) and stability. In bold is the policy with the best mean, with a dagger those that
        are not shown to differ from it (Holm).

        Raises
        ------
        SimulationError
            If there is no such load, metric or format.
        """
        key = self.load_and_metric(load, by)
        if key not in self._tables:
            self._tables[key] = study_table.table(self, *key)
        if format == "±":
            return study_paper.formatted(self, self._tables[key], key[0])
        if format:
            raise SimulationError(f"format={format!r}: '±' is needed, or none for numbers")
        return self._tables[key].copy()

    def to_latex(
        self,
        load: float | None = None,
        *,
        controls: bool = True,
        caption: str | None = None,
        label: str | None = None,
    ) -> str:
        r"""The rankings as a LaTeX table, for ``\usepackage{booktabs}``.

        Figures are those of :meth:`table` with ``format="±"``: the best policy of a metric in bold,
        with a dagger those that are not shown to differ from it. Names are escaped.

        Parameters
        ----------
        load : float, optional
            One of the study's; all by default, one under the other.
        controls : bool
            Whether to show the controls.
        caption, label : str, optional
            In LaTeX; with one of them the table floats.
        """
        loads = self.loads if load is None else (load,)
        shown = [(at, self.table(at)) for at in loads]
        return study_paper.latex(self, shown, controls=controls, caption=caption, label=label)

    def to_frame(self) -> pd.DataFrame:
        """The rankings at all loads in one table.

        First are the load, the rate asked for (tasks/s), that met, and the span of a run (s).
        """
        frames = []
        for load, rate in zip(self.loads, self.rates, strict=True):
            frame, (met, span) = self.table(load), self.met(load)
            first = {"load": load, "rate": rate, "rate_met": met, "span": span}
            frames.append(pd.DataFrame(first, index=frame.index).join(frame))
        return pd.concat(frames)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON, NaN as None: what ``--json`` prints."""
        return {
            "corpus": self.corpus.name,
            "sha256": self.corpus.sha256,
            "agents": list(self.pool.ids),
            "capacity": self.capacity,
            "arrivals": self.arrivals,
            "baseline": self.baseline,
            "ranked_by": self.ranked_by,
            "rates": dict(zip(map(str, self.loads), self.rates, strict=True)),
            "met": {
                str(load): dict(zip(("rate", "span"), self.met(load), strict=True))
                for load in self.loads
            },
            "latencies": "simulated",
            "recorded": self.basis.kind,
            "checkup": self.corpus.check(self.pool).to_dict(),
            "settings": asdict(self.settings),
            "conditions": as_plain(self.conditions) if self.conditions else {},
            "leaders": {str(load): list(self.leader(load).names) for load in self.loads},
            "loads": {str(load): records(self.table(load)) for load in self.loads},
            "tenants": records(self.by_tenant()),
            "decision": self.decision().to_dict(),
            "notes": list(self.notes),
        }
