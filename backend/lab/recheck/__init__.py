"""Judges a stored run again, with nothing of the program that ran it."""
