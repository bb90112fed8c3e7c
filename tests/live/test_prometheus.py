"""Metrics in the text format of Prometheus."""

from prometheus_client import REGISTRY

from routingsim.live.prometheus import generate_latest, metric, registry_of


def test_the_name_decides_between_counter_and_gauge() -> None:
    registry = registry_of(
        lambda: [
            metric("tasks_total", "Tasks.", [(("a",), 2), (("b",), 0)], ["agent"]),
            metric("load", "Load.", [((), 0.25)]),
            metric("lag", "Lag.", [], ["client"]),
        ]
    )
    assert generate_latest(registry).decode().splitlines() == [
        "# HELP routingsim_tasks_total Tasks.",
        "# TYPE routingsim_tasks_total counter",
        'routingsim_tasks_total{agent="a"} 2.0',
        'routingsim_tasks_total{agent="b"} 0.0',
        "# HELP routingsim_load Load.",
        "# TYPE routingsim_load gauge",
        "routingsim_load 0.25",
        "# HELP routingsim_lag Lag.",
        "# TYPE routingsim_lag gauge",
    ]


def test_a_registry_collects_anew_at_each_scrape_and_is_not_the_global_one() -> None:
    loads = [0.25]
    registry = registry_of(lambda: [metric("load", "Load.", [((), loads[-1])])])
    assert registry.get_sample_value("routingsim_load") == 0.25
    loads.append(0.5)
    assert registry.get_sample_value("routingsim_load") == 0.5
    assert REGISTRY.get_sample_value("routingsim_load") is None
