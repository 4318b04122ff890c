"""The orchestrator: a state machine without I/O."""
