import pytest

from coffee_core.settings import Settings
from flink.checkpoints import checkpoints_uri
from flink.options import EPOCH_PARAMETER, JOB_NAME, options
from flink.statements import statement, values, values_without_orders

SETTINGS = Settings.from_env(
    {
        "COFFEE_HOME": "/tmp/a folder",
        "FLINK_REST_URL": "http://flink.example:8082",
        "COFFEE_DEDUP_HORIZON_H": "0.5",
    }
)


def test_the_job_starts_anew_unless_a_checkpoint_is_given() -> None:
    assert "execution.state-recovery.path" not in options(SETTINGS, "7", None)
    chosen = options(SETTINGS, "7", "file:///somewhere/chk-7")
    assert chosen["execution.state-recovery.path"] == "file:///somewhere/chk-7"


def test_the_settings_reach_flink() -> None:
    chosen = options(SETTINGS, "7", None)
    assert chosen["pipeline.name"] == JOB_NAME
    assert (chosen["rest.address"], chosen["rest.port"]) == ("flink.example", "8082")
    assert chosen["table.exec.state.ttl"] == "1800000 ms"


def test_ids_outgrow_no_heap_and_leave_the_disk_with_the_horizon() -> None:
    chosen = options(SETTINGS, "7", None)
    assert (chosen["state.backend.type"], chosen["execution.checkpointing.incremental"]) == ("rocksdb", "true")
    leave = chosen["state.backend.rocksdb.compaction.filter.periodic-compaction-time"]
    assert leave == chosen["table.exec.state.ttl"]
    assert chosen["state.backend.rocksdb.memory.partitioned-index-filters"] == "true"


def test_every_epoch_has_checkpoints_of_its_own_and_the_job_tells_its_epoch() -> None:
    chosen = [options(SETTINGS, epoch, None) for epoch in ("7", "8")]
    assert len({job_options["execution.checkpointing.dir"] for job_options in chosen}) == 2
    assert chosen[0]["pipeline.global-job-parameters"] == f"{EPOCH_PARAMETER}:7"


def test_a_space_in_the_home_is_kept_as_flink_wants_it() -> None:
    chosen = options(SETTINGS, "7", None)
    assert chosen["execution.checkpointing.dir"].startswith("file:///tmp/a folder/flink/checkpoints/epoch-7-")


def test_checkpoints_may_lie_on_storage_that_all_of_flink_reaches() -> None:
    settings = Settings.from_env({"COFFEE_FLINK_CHECKPOINTS": "s3://coffee-rt/checkpoints/"})
    folder = options(settings, "7", None)["execution.checkpointing.dir"]
    assert folder.startswith("s3://coffee-rt/checkpoints/epoch-7-")


def test_a_tally_with_other_columns_finds_no_checkpoint_of_this_one() -> None:
    fewer = Settings.from_env({"COFFEE_TOPIC_PARTITIONS": "1"})
    assert checkpoints_uri(fewer, "7") != checkpoints_uri(Settings.from_env({}), "7")
    wider = Settings.from_env({"COFFEE_FLINK_PARALLELISM": "2"})
    assert checkpoints_uri(wider, "7") == checkpoints_uri(Settings.from_env({}), "7")


@pytest.mark.parametrize(
    ("filled", "startup", "bounded"),
    [
        (values(SETTINGS), "earliest-offset", "unbounded"),
        (values_without_orders(SETTINGS), "latest-offset", "latest-offset"),
    ],
)
def test_the_job_reads_from_the_first_order_and_the_warm_up_reads_none(
    filled: dict[str, str], startup: str, bounded: str
) -> None:
    text = statement("orders_log", filled)
    assert f"'scan.startup.mode' = '{startup}'" in text
    assert f"'scan.bounded.mode' = '{bounded}'" in text


def test_the_warm_up_keeps_out_of_the_jobs_consumer_group() -> None:
    assert values(SETTINGS)["group"] == "flink-processors"
    assert values_without_orders(SETTINGS)["group"] != "flink-processors"
