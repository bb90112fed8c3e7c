"""Metrics of routing over plain arrays, each by the paper that defined it."""
