"""rpytest: the parallel pytest runner.

The command is a native program; this package is its Python side (daemon, session, host, worker).
Importing it must stay free of cost and side effects: every forked process and build tool does it.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
