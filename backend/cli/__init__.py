"""The command ``coffee``."""
