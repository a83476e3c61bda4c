"""v4 before real servers."""
