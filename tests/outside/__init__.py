"""Servers that are not the lab's own: several brokers, TLS, passwords."""
