"""What to show others: plots, and the report in HTML, Markdown and JSON."""

from routingsim.report.html import write_report
from routingsim.report.markdown import render_json, render_markdown
from routingsim.report.plots import (
    plot_cost_quality,
    plot_latencies,
    plot_latency,
    plot_queue,
    plot_usage,
)

__all__ = [
    "plot_cost_quality",
    "plot_latencies",
    "plot_latency",
    "plot_queue",
    "plot_usage",
    "render_json",
    "render_markdown",
    "write_report",
]
