"""The options of the command line: definitions, values, who has read them, what may differ.

Runs in every process in which pytest runs. Begin with ``definitions.py``, then ``meaning.py``.
"""
