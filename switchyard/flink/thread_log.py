"""What Python logs in thread mode: pemja hands it to the TaskManager's log, whatever its level.

Records of DEBUG, several for each call of a model and with its prompt, would be made into text for Flink to drop; and a
line for each call that went well tells nobody anything. Importing this module keeps them back where thread mode runs.
"""

from __future__ import annotations

import logging

_root = logging.getLogger()
if any(type(handler).__module__ == "pemja.logger" for handler in _root.handlers):
    _root.setLevel(max(_root.level, logging.INFO))
    logging.getLogger("httpx2").setLevel(logging.WARNING)
