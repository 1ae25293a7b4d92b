"""What a process was made from, and whether that has changed since.

Runs in sessions, their checkpoints and preloads. Begin with ``dependencies.py``, then
``observer.py``.
"""
