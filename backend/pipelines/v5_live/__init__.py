"""v5: an order is a row, and the same transaction keeps the totals; a projector shows them."""
