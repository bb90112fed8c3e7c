"""Metrics in the text format of Prometheus."""

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from platform import python_version
from types import SimpleNamespace
from typing import cast

from prometheus_client import Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_BUILD = version("routingsim"), python_version()  # looked up once, which takes half a millisecond


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


def histogram(name: str, text: str) -> Histogram:
    """The histogram ``routingsim_<name>`` of seconds, from 0.1 ms to 10 s."""
    bounds = [m * 10.0**e for e in range(-4, 1) for m in (1, 2.5, 5)] + [10.0]
    return Histogram(f"routingsim_{name}", text, buckets=bounds, registry=None)


def process_metrics() -> Iterator[Metric]:
    """The version, and figures of this process: time, memory, files (on Linux)."""
    yield metric("build_info", "The version that runs.", [(_BUILD, 1)], ("version", "python"))
    yield from ProcessCollector(registry=None).collect()


def as_text(metrics: Iterable[Metric]) -> bytes:
    """The metrics in the format of ``CONTENT_TYPE``."""
    return generate_latest(cast(Collector, SimpleNamespace(collect=lambda: metrics)))
