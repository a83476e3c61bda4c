"""Flink's stack traces, as Flink 2.3 gave them for checkpoints that were damaged on purpose, and others."""

import json

import pytest

from flink.failures import Failure, client_failure, refusal, root_cause

_FRAMES = """
\tat org.apache.flink.streaming.api.operators.BackendRestorerProcedure.attemptCreateAndRestore(Back.java:172)
\t... 16 more"""
_RESTORING = f"""java.lang.Exception: Exception while creating StreamOperatorStateContext.
\tat org.apache.flink.streaming.api.operators.StreamTaskStateInitializerImpl.streamOperatorStateContext(S.java:294)
Caused by: org.apache.flink.util.FlinkException: Could not restore keyed state backend for KeyedProcess_08 \
from any of the 1 provided restore options.{_FRAMES}
Caused by: org.apache.flink.runtime.state.BackendBuildingException: Caught unexpected exception.{_FRAMES}
"""
_JOB_MANAGER = """org.apache.flink.runtime.client.JobInitializationException: Could not start the JobMaster.
\tat org.apache.flink.runtime.jobmaster.DefaultJobMasterServiceProcess.lambda$new$0(DefaultJob.java:97)
Caused by: java.util.concurrent.CompletionException: java.lang.RuntimeException: {0}
\t... 5 more
Caused by: java.lang.RuntimeException: {0}
\t... 5 more
Caused by: {0}
\tat org.apache.flink.runtime.checkpoint.Checkpoints.loadAndValidateCheckpoint(Checkpoints.java:150)
\tat org.apache.flink.runtime.checkpoint.CheckpointCoordinator.restoreSavepoint(CheckpointCoordinator.java:1912)
"""
_GONE = "java.io.FileNotFoundException: /old/place/shared/e8620dde (No such file or directory)"
_TRUNCATED = (
    "org.rocksdb.RocksDBException: Sst file size mismatch: /tmp/db/000015.sst. Expected 119902, actual size 0"
)
_MISSING_KEY = (
    "com.amazonaws.services.s3.model.AmazonS3Exception: The specified key does not exist. (Service: Amazon S3;"
    " Status Code: 404; Error Code: NoSuchKey)"
)


def restoring(cause: str) -> Failure:
    return Failure(f"{_RESTORING}Caused by: {cause}{_FRAMES}\n")


def running(cause: str) -> Failure:
    return Failure(
        f"java.lang.RuntimeException: of a task\n\tat a.B.c(B.java:1)\nCaused by: {cause}\n\t... 6 more\n"
    )


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (_GONE, "FileNotFoundException: /old/place/shared/e8620dde (No such file or directory)"),
        (
            _TRUNCATED,
            "RocksDBException: Sst file size mismatch: /tmp/db/000015.sst. Expected 119902, actual size 0",
        ),
        ("java.io.EOFException", "BackendBuildingException: Caught unexpected exception. (EOFException)"),
        ("java.io.StreamCorruptedException: invalid type code: 00", None),
        ("java.io.InvalidClassException: org.apache.flink.X; local class incompatible", None),
        (_MISSING_KEY, None),
        ("java.lang.NegativeArraySizeException: -17", None),
    ],
)
def test_a_checkpoint_whose_files_are_not_what_they_were_is_damaged(cause: str, sentence: str | None) -> None:
    assert restoring(cause).of_damaged_state
    assert sentence is None or restoring(cause).sentence == sentence


@pytest.mark.parametrize(
    "cause",
    [
        "java.io.EOFException",
        "java.io.IOException: Unexpected magic number. This can have multiple reasons",
        "java.io.FileNotFoundException: Cannot find meta data file '_metadata' in directory 'file:/x'.",
        "java.lang.IllegalStateException: Cannot map checkpoint/savepoint state for operator 08",
    ],
)
def test_so_is_one_whose_metadata_the_jobmanager_cannot_read(cause: str) -> None:
    assert Failure(_JOB_MANAGER.format(cause)).of_damaged_state


@pytest.mark.parametrize(
    "cause",
    [
        "java.io.IOException: No space left on device",
        "org.rocksdb.RocksDBException: IO error: No space left on device: While appending to file: /x/000012.sst",
        "java.io.FileNotFoundException: /x/shared/e8620dde (Permission denied)",
        "java.io.FileNotFoundException: /x/shared/e8620dde (Too many open files)",
        "java.lang.OutOfMemoryError: Java heap space",
        "java.net.ConnectException: Connection refused",
        "java.net.UnknownHostException: bucket.s3.example",
        "java.net.SocketTimeoutException: Read timed out",
        "java.lang.UnsatisfiedLinkError: /x/librocksdbjni-linux64.so: failed to map segment",
        "java.io.IOException: 503 Service Unavailable",
        "com.amazonaws.SdkClientException: Unable to execute HTTP request: Connect to 127.0.0.1:9 failed",
        "com.amazonaws.services.s3.model.AmazonS3Exception: Slow Down (Service: Amazon S3; Status Code: 503; …)",
        "com.amazonaws.services.s3.model.AmazonS3Exception: Forbidden (Service: Amazon S3; Status Code: 403; …)",
    ],
)
def test_one_that_cannot_be_read_for_what_lies_around_it_is_not(cause: str) -> None:
    assert restoring(cause).of_restoring
    assert not restoring(cause).of_damaged_state
    assert not Failure(_JOB_MANAGER.format(cause)).of_damaged_state


@pytest.mark.parametrize(
    "cause",
    [
        "java.lang.ClassNotFoundException: com.github.luben.zstd.ZstdOutputStreamNoFinalizer",
        "org.postgresql.util.PSQLException: Connection to 127.0.0.1:5432 refused.",
        "java.io.FileNotFoundException: /etc/ca.pem (No such file or directory)",
        "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: no slots",
    ],
)
def test_a_failure_of_anything_else_says_nothing_of_the_checkpoint(cause: str) -> None:
    assert not running(cause).of_restoring
    assert not running(cause).of_damaged_state


def test_state_of_other_columns_is_refused_wherever_it_is_noticed() -> None:
    cause = "org.apache.flink.util.StateMigrationException: The new state serializer must not be incompatible"
    assert running(cause).of_damaged_state


def test_a_damaged_block_is_noticed_when_it_is_read() -> None:
    failure = running(
        "org.rocksdb.RocksDBException: Corruption: block checksum mismatch: stored = 0, computed = 7"
    )
    assert failure.of_damaged_state
    assert not failure.of_restoring


def test_a_cause_that_says_too_little_is_told_with_the_one_around_it() -> None:
    refused = "java.net.ConnectException: Connection refused"
    postgres = (
        f"org.postgresql.util.PSQLException: Connection to db:5432 refused.\n\tat x.Y(Y)\nCaused by: {refused}"
    )
    assert running(postgres).sentence == (
        "PSQLException: Connection to db:5432 refused. (ConnectException: Connection refused)"
    )


def test_a_sentence_is_one_line_of_bounded_length_without_the_deep_folders_of_flink() -> None:
    path = "/".join(["", *(["flink-taskmanager-2-of-a-cluster"] * 12), "000015.sst"])
    sentence = restoring(f"org.rocksdb.RocksDBException: Sst file size mismatch: {path}. Expected 1").sentence
    assert sentence == "RocksDBException: Sst file size mismatch: …/000015.sst. Expected 1"
    assert len(root_cause("x.Exception: " + "long " * 1_000)) < 300
    assert "\n" not in root_cause("x.Exception: two\nlines")


def test_a_login_in_a_url_is_not_repeated() -> None:
    cause = "redis.exceptions.ConnectionError: redis://barista:s3cret@redis:6379/0 refuses"
    assert running(cause).sentence == "ConnectionError: redis://redis:6379/0 refuses"


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("java.lang.ClassNotFoundException: com.github.luben.zstd.ZstdOutputStreamNoFinalizer", "zstd-jni"),
        ("java.io.IOException: No space left on device", "make room"),
        ("org.postgresql.util.PSQLException: Connection to 127.0.0.1:5432 refused.", "until that is mended"),
    ],
)
def test_a_failure_comes_with_what_helps(cause: str, words: str) -> None:
    failure = running(cause)
    assert words in failure.cure
    assert cause.partition(": ")[2] in failure.sentence


def test_classes_that_only_carry_another_are_left_out() -> None:
    carried = "org.apache.flink.util.SerializedThrowable: java.lang.RuntimeException: java.io.IOException: no"
    assert root_cause(carried) == "IOException: no"


def test_without_a_trace_there_is_no_reason() -> None:
    assert root_cause("") == "no reason is given"


def test_a_refusal_of_the_rest_api_is_told_by_its_cause() -> None:
    trace = (
        "org.apache.flink.runtime.rest.handler.RestHandlerException: Failed to deserialize.\n\tat a.B(B.java)\n"
        "Caused by: java.io.InvalidClassException: org.apache.flink.X; local class incompatible\n\t... 4 more\n"
    )
    body = {
        "errors": ["Internal error.", f"<Exception on server side:\n{trace}\nEnd of exception on server side>"]
    }
    assert refusal(json.dumps(body)) == "InvalidClassException: org.apache.flink.X; local class incompatible"
    assert refusal(json.dumps({"errors": ["Not found: /v1/jobs"]})) == "Not found: /v1/jobs"
    assert refusal("<html>a proxy</html>") == "<html>a proxy</html>"


_GATEWAY = """Traceback (most recent call last):
  File "job.py", line 87, in <module>
    main()
RuntimeError: Java gateway process exited before sending its port number.
Stderr:
NOTE: Picked up JDK_JAVA_OPTIONS: "@/lab/flink/client.args"
"""


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        (
            "Error occurred during initialization of VM\nToo small maximum heap\n" + _GATEWAY,
            "Error occurred during initialization of VM: Too small maximum heap",
        ),
        (
            _GATEWAY + "Unrecognized VM option 'NoSuch'\nError: Could not create the Java Virtual Machine.\n",
            "Unrecognized VM option 'NoSuch': Error: Could not create the Java Virtual Machine.",
        ),
        (
            """Traceback (most recent call last):
py4j.protocol.Py4JJavaError: An error occurred while calling o7.executeSql.
: org.apache.flink.table.api.ValidationException: no such option
\tat org.apache.flink.X.y(X.java:1)
""",
            "ValidationException: no such option",
        ),
        (
            "Traceback (most recent call last):\nModuleNotFoundError: No module named 'pyflink'\n",
            "ModuleNotFoundError: No module named 'pyflink'",
        ),
        ("", "it ended without a word"),
    ],
)
def test_a_client_that_fails_is_told_by_its_own_or_its_jvms_line(output: str, cause: str) -> None:
    assert client_failure(output) == cause
