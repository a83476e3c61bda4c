"""What the lab proves and mends: the audit, the reconciliation, the dead letters."""
