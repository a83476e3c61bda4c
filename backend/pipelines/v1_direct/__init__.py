"""v1: an order is a row, committed by the request; a cron shows the totals."""
