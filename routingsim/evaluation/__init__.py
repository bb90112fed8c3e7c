"""Evaluation: metrics, controls, confidence intervals, leaks, and estimates from logs."""

import lazy_loader

from routingsim.evaluation.sweep import sweep as sweep  # first: its module has the same name

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
