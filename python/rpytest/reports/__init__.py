"""pytest's reports as records and back, the junit file's elements, and pytest's own text.

Runs in workers, which encode, and in host and controller, which decode and write. Begin with
``encode.py``, then ``summary.py``.
"""
