"""Faults on purpose: one is inflicted under load, and the client's own list is held against the stores."""
