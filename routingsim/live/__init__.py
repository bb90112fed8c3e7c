"""Decisions published on Redis as they are made, and passed on to browsers and programs."""

from routingsim.live.broker import Broker
from routingsim.live.client import Listener
from routingsim.live.publisher.base import PublisherStats
from routingsim.live.publisher.memory import MemoryPublisher
from routingsim.live.publisher.playback import Played, play
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.serve import serve
from routingsim.live.settings import Settings, load_settings
from routingsim.live.stack import LiveStack

__all__ = [
    "Broker",
    "Listener",
    "LiveStack",
    "MemoryPublisher",
    "Played",
    "PublisherStats",
    "RedisPublisher",
    "Settings",
    "load_settings",
    "play",
    "serve",
]
