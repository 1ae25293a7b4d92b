"""What the tests share: projects, runs and their comparison, processes, terminals, tables of cases.

Begin with ``harness.py``; the fixture ``project`` (``tests/python/conftest.py``) is made of it.
"""
