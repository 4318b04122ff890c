"""An OpenAI-compatible model server for one machine: deterministic, offline, and honest about being so."""
