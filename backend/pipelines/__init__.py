"""The pipelines, a folder each, and what they share."""
