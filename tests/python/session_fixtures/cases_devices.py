"""What the kernel keeps for a process, and a GPU: neither can be used by two."""

from __future__ import annotations

import ctypes
import os

from cases_hazards import NOTES, body, fixture
from grid import Case, parametrized

#: A ring of one entry, without a library: `io_uring_setup(2)`, `io_uring_enter(2)`.
RINGS = '''
import ctypes, mmap, os, struct

SETUP, ENTER = 425, 426
libc = ctypes.CDLL(None, use_errno=True)

class Ring:
    def __init__(self):
        parameters = ctypes.create_string_buffer(120)
        self.fd = libc.syscall(SETUP, 1, parameters)
        assert self.fd >= 0, os.strerror(ctypes.get_errno())
        sq_entries, cq_entries = struct.unpack_from("2I", parameters, 0)
        self.sq_tail, self.sq_mask, self.array = (struct.unpack_from("I", parameters, 40 + at)[0] for at in (4, 8, 24))
        self.cq_head, self.cq_mask, self.cqes = (struct.unpack_from("I", parameters, 80 + at)[0] for at in (0, 8, 20))
        # Kernels since 5.4 have both queues in one mapping.
        size = max(self.array + 4 * sq_entries, self.cqes + 16 * cq_entries)
        self.queues = mmap.mmap(self.fd, size, offset=0)
        self.entries = mmap.mmap(self.fd, 64 * sq_entries, offset=0x10000000)

    def number(self, at):
        return struct.unpack_from("I", self.queues, at)[0]

    def does_nothing(self, tag):
        """Submits a request without effect, waits for an answer; returns its tag."""
        tail = self.number(self.sq_tail)
        index = tail & self.number(self.sq_mask)
        self.entries[:64] = bytes(64)
        struct.pack_into("Q", self.entries, 64 * index + 32, tag)
        struct.pack_into("I", self.queues, self.array + 4 * index, index)
        struct.pack_into("I", self.queues, self.sq_tail, tail + 1)
        assert libc.syscall(ENTER, self.fd, 1, 1, 1, None, 0) == 1, os.strerror(ctypes.get_errno())
        head = self.number(self.cq_head)
        (answer,) = struct.unpack_from("Q", self.queues, self.cqes + 16 * (head & self.number(self.cq_mask)))
        struct.pack_into("I", self.queues, self.cq_head, head + 1)
        return answer

    def close(self):
        self.queues.close()
        self.entries.close()
        os.close(self.fd)
'''  # noqa: E501


def has_io_uring() -> bool:
    """Whether this process may have one: containers often forbid it, and then no fixture has
    one.
    """
    ring = ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(120))
    if ring >= 0:
        os.close(ring)
    return bool(ring >= 0)


CASES = [
    Case(
        "io-uring",
        {
            "rings.py": RINGS,
            "conftest.py": fixture("it = rings.Ring()", "it.close()", "import rings"),
            "test_a.py": "import os\n"
            + parametrized(
                "thing",
                body(
                    "for turn in range(2000):\n    assert thing.does_nothing(os.getpid()) "
                    "== os.getpid()"
                ),
                count=64,
            ),
        },
        own={"thing": "its set-up left an io_uring"},
        notes=NOTES,
    )
] * has_io_uring()
