#!/usr/bin/env python3
"""Writes dashboards/*.json from boards.py. Run it after every change there; check.py fails if it was forgotten."""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from boards import BOARDS

DASHBOARDS = Path(__file__).parent / "dashboards"


def texts():
    """What each file should say, by its name."""
    return {f"{name}.json": json.dumps(board, indent=1, ensure_ascii=False) + "\n" for name, board in BOARDS.items()}


if __name__ == "__main__":
    for name, text in texts().items():
        (DASHBOARDS / name).write_text(text)
