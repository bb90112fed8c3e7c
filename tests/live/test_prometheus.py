"""Metrics in the text format of Prometheus."""

from routingsim.live.prometheus import as_text, metric


def test_the_name_decides_between_counter_and_gauge() -> None:
    metrics = [
        metric("tasks_total", "Tasks.", [(("a",), 2), (("b",), 0)], ["agent"]),
        metric("load", "Load.", [((), 0.25)]),
        metric("lag", "Lag.", [], ["client"]),
    ]
    assert as_text(metrics).decode().splitlines() == [
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
