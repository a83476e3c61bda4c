"""``coffee load`` and ``coffee bench``: measures the pipelines, their ceilings, and what they cost."""
