"""What session, bare worker and controller have in common: pytest's main function runs in each.

Runs in every process in which pytest runs; ``standby.py`` in those that are forked before there is
a run for them. Begin with ``role.py``.
"""
