"""The controller: hooks that act on the run as a whole, as they do under pytest-xdist.

Runs in the controller and in its base, which is forked from a session before pytest is configured;
``client.py`` and ``starter.py`` are what the session and the host have of them. Begin with
``controller.py``.
"""
