"""Runs with other arguments, and runs after an edit of test modules, from one collection.

Runs in the checkpoint, a fork of a session between collection and selection, and in the forks that
it makes for runs; ``configured_process.py`` in one from before collection. Begin with
``checkpoint.py``, then ``selected_run.py``.
"""
