"""The shared language of coffee-rt: menu, order, key names, settings, errors. Standard library only."""
