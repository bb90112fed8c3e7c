"""The HTTP API and the dashboard."""

__all__: list[str] = []
