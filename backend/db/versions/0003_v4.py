"""v4's partition of the orders, and the offsets of its workers."""

from backend.db.script import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("0003_v4.sql")


def downgrade() -> None:
    run_script("0003_v4_down.sql")
