"""The apps that are measured."""

from pathlib import Path

ECHO = Path(__file__).parent / "echo"
FANOUT = Path(__file__).parent / "fanout"
