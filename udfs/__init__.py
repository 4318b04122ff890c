"""What runs inside Flink: thin shells around `switchyard.core`."""

import os
import sys

LIBRARIES = "switchyard-libraries"

# A job submitted with --ship-python brings its libraries as an archive, which Flink unpacks into the working folder.
_shipped = os.path.join(os.getcwd(), LIBRARIES)  # noqa: PTH109, PTH118 - before anything else is imported
if os.path.isdir(_shipped) and _shipped not in sys.path:  # noqa: PTH112
    sys.path.append(_shipped)
