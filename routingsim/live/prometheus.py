"""Metrics in the text format of Prometheus, read from their source at each scrape."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "generate_latest", "metric", "registry_of"]


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


def registry_of(collect: Callable[[], Iterable[Metric]]) -> CollectorRegistry:
    """A registry of its own, which calls ``collect`` at each scrape."""
    registry = CollectorRegistry()
    registry.register(_Collector(collect))
    return registry


class _Collector(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self.collect = collect
