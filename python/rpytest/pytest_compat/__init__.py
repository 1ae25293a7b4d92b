"""The internals of pytest and of well-known plugins, version by version.

Runs in every process in which pytest runs. New code that touches `_pytest` comes here. Begin with
``hooks.py``, then ``output.py``.
"""
