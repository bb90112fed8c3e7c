"""The HTTP API, its dashboard, and the table for notebooks."""

__all__: list[str] = []
