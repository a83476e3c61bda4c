"""v5's partition of the orders, and its totals."""

from backend.db.script import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("0002_v5.sql")


def downgrade() -> None:
    run_script("0002_v5_down.sql")
