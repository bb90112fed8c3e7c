"""The check-up of a corpus or log when it is read: what is suspicious, and what to do about it."""

__all__: list[str] = []
