"""A session: pytest collected once, and forked for each run.

Runs in the session's process, a fork of the daemon or of a preload. Begin with ``session.py`` (what
becomes of pytest's main function there), then ``server.py`` (a host for each run).
"""
