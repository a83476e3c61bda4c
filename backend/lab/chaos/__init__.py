"""Faults on purpose: one strikes under load, and the client's own list is held against the stores."""
