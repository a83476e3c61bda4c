"""What power cuts took where this project was made: a question does not measure them.

Two shared cores, 50 to 75 orders a second into each pipeline, soon after the first start (docs/guarantees.md).
"""

CUTS = (
    ("strict", "v1, v2, v5", "3", "0 of 11,775"),
    ("strict", "v2, v3, v4", "1", "0 of 9,719"),
    ("default", "v1, v2, v5", "1", "0 of 4,014"),
    ("default", "v2, v3, v4", "1", "v2 0 of 1,907; v3 1 of 1,777; v4 56 of 1,792"),
    ("relaxed", "v1, v2, v5", "1", "v1 14 of 1,353; v2 15 of 1,374; v5 20 of 1,358"),
)
"""Notch of COFFEE_DURABILITY, pipelines, cuts, what was lost of the acknowledged orders."""
