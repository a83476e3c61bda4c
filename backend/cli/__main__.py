"""``python -m backend.cli``: the same as ``coffee``."""

from backend.cli.main import main

if __name__ == "__main__":
    main()
