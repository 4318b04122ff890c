"""What `switchyard lint` checks: one module for each kind of thing that can be wrong with an app."""
