"""From Redis to WebSocket clients."""

__all__: list[str] = []
