"""Storms: several faults at once, drawn from a seed."""
