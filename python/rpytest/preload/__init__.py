"""The preload: installed packages, imported once, before there is a session that needs them.

Runs in the preload's process; ``session_finder.py`` in the sessions that are forked from it. Begin
with ``builder.py``.
"""
