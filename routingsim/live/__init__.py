"""While it happens: decisions on Redis, and from there to whoever watches."""

from routingsim.live.broker import Broker
from routingsim.live.memory import MemoryPublisher
from routingsim.live.publisher import PublisherStats, RedisPublisher
from routingsim.live.settings import Settings, load_settings

__all__ = [
    "Broker",
    "MemoryPublisher",
    "PublisherStats",
    "RedisPublisher",
    "Settings",
    "load_settings",
]
