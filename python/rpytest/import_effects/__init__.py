"""What the import of a test module leaves behind, so that it may be left out or come again.

Runs in the checkpoint and its forks; pure but for ``import_history.py``. Begin with
``analysis.py``.
"""
