"""pytest-xdist's surface: its modules, hooks, fixtures, environment and `workerinput`.

Runs in every process in which pytest runs. Begin with ``worker_identity.py``.
"""
