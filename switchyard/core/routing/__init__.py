"""How one event is decided: rules and guards, the question to a model, consensus."""
