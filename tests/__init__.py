"""The tests, which import the reference simulator as ``tests.reference.simulator``."""
