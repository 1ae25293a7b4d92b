"""The host of one run: forks workers, reaps them, answers them, and lets pytest write its summary.

Runs in the host, a fork of a session. Begin with ``host.py``.
"""
