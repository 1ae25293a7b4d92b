"""Files and modules: the project's or installed, their states, what they import.

Runs in every process, and knows none. Begin with ``locations.py``.
"""
