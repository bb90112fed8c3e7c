"""Tasks to route: reading them from files, checking them, and the public corpora."""

__all__: list[str] = []
