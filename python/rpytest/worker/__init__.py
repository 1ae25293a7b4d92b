"""A worker: claims tests, runs them with pytest, and pushes one record for each.

Runs in workers. Begin with ``worker.py``; ``spec.py`` is what one is given when it is forked.
"""
