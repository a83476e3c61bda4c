"""v2: an order is an entry of a Redis stream; workers store it and show it."""
