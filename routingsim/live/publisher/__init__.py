"""Publishers: send decisions, statuses and replay progress to Redis."""

__all__: list[str] = []
