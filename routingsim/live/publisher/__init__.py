"""From the router to Redis."""

__all__: list[str] = []
