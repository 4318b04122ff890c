"""The Java that runs broker and cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from switchyard.local.errors import StackError


def java() -> str:
    """The java command: that of JAVA_HOME, else the first on the PATH; 17 or newer."""
    home = os.environ.get("JAVA_HOME")
    candidate = Path(home, "bin", "java") if home else None
    command = str(candidate) if candidate and candidate.exists() else shutil.which("java")
    if command is None:
        raise StackError(
            "Java 17 is needed and 'java' was not found. Install a JDK 17 "
            "(Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME."
        )
    output = subprocess.run([command, "-version"], capture_output=True, text=True, check=False).stderr
    version_number = re.search(r'version "(\d+)', output)
    if version_number is None or int(version_number[1]) < 17:
        version = version_number[1] if version_number else "of an unknown version"
        raise StackError(f"Java 17 is needed; {command} is Java {version}. Install a JDK 17 or set JAVA_HOME.")
    return command
