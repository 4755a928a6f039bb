"""What the tests share."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conditions import SECONDS


@pytest.fixture
def run_python():
    """Runs a script in a fresh interpreter, whose output is told."""

    def run(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)

    return run
