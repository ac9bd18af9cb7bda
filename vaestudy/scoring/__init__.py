"""The numbers that a run reports: bounds, pixel scores and class scores. `score.py` defines them."""
