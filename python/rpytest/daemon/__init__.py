"""The daemon: a warm interpreter that accepts command lines and keeps the processes that serve
them.

Runs in the daemon. It forks sessions and preloads, chooses or starts the session of a run, and lets
warm processes go when there are too many. It never runs a test. Begin with ``daemon.py`` (the
loop), then ``assignment.py`` (which session serves a run) and ``sessions.py`` (what they say).
"""
