"""Load on the API: random orders, schedule, sender, generator; ``python -m coffee_core.load`` runs it apart."""
