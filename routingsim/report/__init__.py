"""What to show others: plots, and the report in HTML, Markdown and JSON."""

from routingsim.report.frontier import plot_frontier
from routingsim.report.html import render, write_report
from routingsim.report.markdown import render_section
from routingsim.report.notebook import write_notebook
from routingsim.report.plots import plot_latencies, plot_latency, plot_queue, plot_usage
from routingsim.report.replay_report import compose
from routingsim.report.stream_report import compose_streams
from routingsim.report.study_plots import plot_load, plot_regret
from routingsim.report.study_report import compose_study

__all__ = [
    "compose",
    "compose_streams",
    "compose_study",
    "plot_frontier",
    "plot_latencies",
    "plot_latency",
    "plot_load",
    "plot_queue",
    "plot_regret",
    "plot_usage",
    "render",
    "render_section",
    "write_notebook",
    "write_report",
]
