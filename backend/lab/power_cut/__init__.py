"""The power cut: a stack on a file system that forgets what was not synced."""
