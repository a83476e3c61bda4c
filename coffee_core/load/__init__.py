"""Load on the API: schedule, mix of orders, sender, generator; ``python -m coffee_core.load`` runs it apart."""
