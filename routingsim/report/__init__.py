"""What to show others: plots, and the report in HTML, Markdown and JSON."""

from routingsim.report.contents import compose
from routingsim.report.html import render_html, write_report

__all__ = ["compose", "render_html", "write_report"]
