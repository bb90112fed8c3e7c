"""Metrics in the text format of Prometheus."""

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import cast

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def metric(
    name: str, text: str, samples: Iterable[tuple[Sequence[str], float]], labels: Sequence[str] = ()
) -> Metric:
    """The metric ``routingsim_<name>``: a counter if its name ends in ``_total``, else a gauge.

    ``samples`` are pairs of the labels' values and a number; ``text`` is the help.
    """
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = kind(f"routingsim_{name}", text, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def as_text(metrics: Iterable[Metric]) -> bytes:
    """The metrics in the format of ``CONTENT_TYPE``."""
    return generate_latest(cast(Collector, SimpleNamespace(collect=lambda: metrics)))
