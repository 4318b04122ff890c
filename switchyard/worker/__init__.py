"""The runtime of agents: inboxes, handlers, answers, memory."""
