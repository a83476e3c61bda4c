"""The last record that v4's workers have stored of each partition: whether the topic still has it."""

from backend.db.script import run_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("0004_v4_last_records.sql")


def downgrade() -> None:
    run_script("0004_v4_last_records_down.sql")
