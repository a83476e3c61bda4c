"""The embedded stack: real servers on loopback, and the wrapper that keeps a process running."""
