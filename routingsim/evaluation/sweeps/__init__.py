"""Sweeps: many settings of policies, agents and arrivals, run on any executor, resumed at will."""
