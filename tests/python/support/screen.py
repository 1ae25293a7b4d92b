"""What a terminal shows after some output: as much of one as runners use."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b.|[\r\n\b\x07]|[^\x1b\r\n\b\x07]+", re.S)


def shown(output: str) -> list[str]:
    """The lines on an endless screen that is wide enough, without trailing spaces and empty lines
    at the end.
    """
    lines = [""]
    row = column = 0
    for match in _TOKEN.finditer(output):
        text, command = match[0], match[2]
        if command == "K":
            keep = 0 if match[1] == "2" else column
            lines[row] = lines[row][:keep]
        elif command == "A":
            row = max(0, row - int(match[1] or 1))
        elif command == "B":
            row += int(match[1] or 1)
        elif command == "m":
            pass
        elif text.startswith("\x1b"):
            raise AssertionError(f"a sequence that no runner should need: {text!r}")
        elif text == "\r":
            column = 0
        elif text == "\b":
            column = max(0, column - 1)
        elif text == "\n":
            row += 1
        elif text != "\x07":
            line = lines[row].ljust(column)
            lines[row] = line[:column] + text + line[column + len(text) :]
            column += len(text)
        lines += [""] * (row + 1 - len(lines))
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.rstrip() for line in lines]
