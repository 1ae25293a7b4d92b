"""The standard library as it was before any code of a project ran.

A test may put something else in the place of `os.write`, `any` or `open`, a fixture may keep it
there beyond the call phase, and libraries put fakes into the modules that have imported a function
or a module (pyfakefs, freezegun, time-machine). What rpytest itself does then is not what they
mean. So its code for hosts and workers takes modules from here instead of importing them, and
begins with

    __builtins__ = stdlib.BUILTINS

which CPython gives to each function that the module defines (`function.__builtins__`) as the place
of `any`, `len` and all the others.

These namespaces are no modules, and they hold the functions as attributes: libraries that look for
what to replace pass them over.
"""

from __future__ import annotations

import builtins
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import array as array
    import contextlib as contextlib
    import copy as copy
    import faulthandler as faulthandler
    import io as io
    import json as json
    import marshal as marshal
    import os as os
    import pathlib as pathlib
    import select as select
    import signal as signal
    import socket as socket
    import struct as struct
    import tempfile as tempfile
    import threading as threading
    import time as time
    import traceback as traceback
    import uuid as uuid

BUILTINS: Any = dict(vars(builtins))

#: What has a namespace here.
MODULES = (
    "array",
    "contextlib",
    "copy",
    "faulthandler",
    "io",
    "json",
    "marshal",
    "os",
    "pathlib",
    "select",
    "signal",
    "socket",
    "struct",
    "tempfile",
    "threading",
    "time",
    "traceback",
    "uuid",
)


class _Namespace:
    """The contents of a module at the time of its import here."""

    def __init__(self, name: str) -> None:
        __import__(name)
        vars(self).update(vars(sys.modules[name]))


class _Os(_Namespace):
    """`os`, whose variables are those that the process has now, whatever object holds them."""

    def __init__(self) -> None:
        super().__init__("os")
        del vars(self)["environ"]
        vars(self)["path"] = _Namespace("os.path")

    @property
    def environ(self) -> Any:
        return sys.modules["os"].environ


if not TYPE_CHECKING:
    for _name in MODULES:
        globals()[_name] = _Os() if _name == "os" else _Namespace(_name)
