"""What is known once tests are collected: their list, the groups that stay together, the shard.

Runs in the session, or in each worker of the start method `bare`. Begin with ``collected.py``.
"""
