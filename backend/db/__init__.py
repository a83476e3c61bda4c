"""The table of orders and its migrations."""
