"""Logs of calls: one table for all, and a reader for each tool that writes them."""
