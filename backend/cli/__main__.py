"""``python -m backend.cli``: the same as ``coffee``."""

from coffee_core.entry import coffee

if __name__ == "__main__":
    coffee()
