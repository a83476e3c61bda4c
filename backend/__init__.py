"""The services that take orders and make them visible, the embedded stack they run on, and the command line."""
