"""What takes the state along, and what counts anew: other code, another parallelism, another folder."""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest

from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings
from flink.rest import FlinkRest
from tests.e2e.engine import ORDERS, change, post_and_balance, project_copy, savepoint, submitter_log
from tests.e2e.flink_rest import slots_in_use, taskmanagers_in_use
from tests.e2e.lab import V3_PARTS, Lab
from tests.e2e.truth import Attempt, expected_rows, mixed_attempts, post_all, shown_totals

pytestmark = pytest.mark.slow

ORDER = {"drink": "latte", "store": "uptown", "price": 5.00, "timestamp": "2025-01-15T10:00:00Z"}
UNWANTED = "feedface-0000-4000-8000-000000000000"
"""A message id that the changed job refuses."""
COUNTED = "AS reached_us\nFROM windowed_records\n"
CHANGES = {
    "a statement more": (
        "INSERT INTO shown_windows SELECT show_window_in_redis({window_arguments}) FROM windows\n",
        """INSERT INTO shown_windows SELECT show_window_in_redis({window_arguments}) FROM windows

-- name: watched
CREATE TEMPORARY TABLE watched (drink STRING, store STRING) WITH ('connector' = 'blackhole')

-- name: watch
INSERT INTO watched SELECT drink, store FROM counted
""",
    ),
    "an operator between two": (
        COUNTED,
        COUNTED.replace(
            "windowed_records",
            """(
    SELECT * FROM windowed_records WHERE is_first UNION ALL SELECT * FROM windowed_records WHERE NOT is_first
)""",
        ),
    ),
}
"""Change of the job's graph → what is replaced in its SQL, and by what: what comes out is the same."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("an engine")
    project = project_copy(folder / "project")
    lab = Lab(folder / "coffee home", "v3", project, COFFEE_TOPIC_PARTITIONS="6")
    lab.expected = V3_PARTS | {"postgres", "redis", "cafe-order-api"}
    with lab.running():
        yield lab


def last_submission(lab: Lab) -> str:
    return [line for line in submitter_log(lab).splitlines() if "submitting" in line][-1]


async def test_other_code_and_another_parallelism_on_two_taskmanagers_take_the_state_along(engine: Lab) -> None:
    await post_and_balance(engine, 91)
    await savepoint(engine)
    assert await asyncio.to_thread(engine.stop) == 0
    fine, rule = "WHEN is_canonical THEN CAST", f"WHEN `value` LIKE '%{UNWANTED}%' THEN 'no longer taken'"
    change(engine.project / "flink" / "job.sql", fine, f"{rule} {fine}")
    engine.env |= {"COFFEE_FLINK_PARALLELISM": "2", "COFFEE_FLINK_SLOTS": "1"}
    engine.settings = Settings.from_env(engine.env)
    await asyncio.to_thread(engine.start)
    assert "of epoch 1 from checkpoint" in last_submission(engine)
    # Were the ids of before forgotten, these would be counted a second time.
    await post_all(engine.settings, V3, mixed_attempts(V3, ORDERS, 91))
    await post_and_balance(engine, 93)
    before = await shown_totals(engine.settings, V3)
    refused = [Attempt(UUID(UNWANTED), ORDER, 202)]
    await post_all(engine.settings, V3, refused)
    await post_and_balance(engine, 94)
    assert "no longer taken" in (await asyncio.to_thread(engine.coffee, "dead-letters", "v3")).stdout
    assert (await shown_totals(engine.settings, V3)).orders > before.orders
    assert await slots_in_use(engine.settings) == 2
    assert len(await taskmanagers_in_use(engine.settings)) == 2


async def test_a_folder_that_was_moved_costs_no_order(engine: Lab) -> None:
    """Flink writes absolute paths into its checkpoints, not into its savepoints."""
    await post_and_balance(engine, 96)
    before = await shown_totals(engine.settings, V3)
    async with FlinkRest(engine.settings.flink_rest_url) as rest:
        (job,) = [job for job in await rest.jobs() if job.active]
        await rest.checkpoint(job)
    assert await asyncio.to_thread(engine.stop) == 0
    engine.home = engine.home.rename(engine.home.with_name("another place"))
    engine.env |= {"COFFEE_HOME": str(engine.home)}
    engine.settings = Settings.from_env(engine.env)
    await asyncio.to_thread(engine.start)
    assert "chk-" in next(line for line in submitter_log(engine).splitlines() if "no job can start from" in line)
    # Were the ids of before forgotten, these would be counted a second time.
    await post_all(engine.settings, V3, mixed_attempts(V3, ORDERS, 96))
    await post_and_balance(engine, 95)
    assert (await shown_totals(engine.settings, V3)).orders == before.orders + len(
        expected_rows(mixed_attempts(V3, ORDERS, 95))
    )


@pytest.mark.parametrize(("what", "seed"), zip(CHANGES, (98, 99), strict=True))
async def test_a_changed_graph_finds_no_state_and_the_topic_is_counted_anew(
    engine: Lab, what: str, seed: int
) -> None:
    await savepoint(engine)
    assert await asyncio.to_thread(engine.stop) == 0
    said = len(submitter_log(engine))
    change(engine.project / "flink" / "job.sql", *CHANGES[what])
    await asyncio.to_thread(engine.start)
    refused = next(line for line in submitter_log(engine)[said:].splitlines() if "no job can start from" in line)
    assert "Cannot map checkpoint/savepoint state" in refused
    assert "of epoch 1 from the first order on" in last_submission(engine)
    # Were the ids of before forgotten, these would be counted a second time.
    await post_all(engine.settings, V3, mixed_attempts(V3, ORDERS, 95))
    await post_and_balance(engine, seed)


async def test_state_that_no_longer_fits_is_passed_over_and_the_topic_counted_anew(engine: Lab) -> None:
    assert await asyncio.to_thread(engine.stop) == 0
    total, wider = "SUM(CAST(dead AS BIGINT))", "CAST(SUM(CAST(dead AS DECIMAL(20, 0))) AS BIGINT)"
    change(engine.project / "flink" / "statements.py", total, wider)
    await asyncio.to_thread(engine.start)
    assert "no job can start from" in submitter_log(engine)
    assert "of epoch 1 from the first order on" in last_submission(engine)
    await post_and_balance(engine, 97)
