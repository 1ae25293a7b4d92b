"""Sources of modules, parsed without a word."""

from __future__ import annotations

import ast
import warnings


def parse(source: bytes) -> ast.Module:
    """Like `ast.parse`; what Python warns of in a source (``"\\w"``) it tells when it makes byte
    code, and nobody else is to tell it again.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)
