"""Load on the API: schedule, mix of orders, sender."""
