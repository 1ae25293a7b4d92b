"""The start method `bare`: every worker is forked from the daemon and collects by itself.

Runs in the bare host and in its workers. It is the way out for projects that can't be forked after
collection. Begin with ``host.py``, then ``worker.py``.
"""
