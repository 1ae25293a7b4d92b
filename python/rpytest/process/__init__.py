"""Processes: fork, exit, streams, signals, the garbage collector, random numbers.

Runs in every process, and knows none. Begin with ``lifecycle.py``.
"""
