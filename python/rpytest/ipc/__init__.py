"""Messages between processes, and the bodies of records in the ring.

Runs in every process. Begin with ``channel.py``; the formats are in ``docs/design/protocol.md``.
"""
