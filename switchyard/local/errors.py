"""What goes wrong with the local stack, in sentences for the person at the keyboard."""

from __future__ import annotations

from switchyard.core.errors import SwitchyardError


class StackError(SwitchyardError):
    """The local stack cannot do what was asked; the text says what to do next."""
