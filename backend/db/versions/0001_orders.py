"""The table of orders, its three partitions, and the trigger that keeps the first row of v3."""

from backend.db.script import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("0001_orders.sql")


def downgrade() -> None:
    run_script("0001_orders_down.sql")
