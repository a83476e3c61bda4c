"""Make the lock anew: ``python -m backend.stack.jars_lock`` resolves the coordinates below and hashes their jars.

Run it after changing a version here, and read the difference before committing it.
"""

import sys
import tempfile
from pathlib import Path

from backend.stack.jars import LOCK_NAME, LockedJar, sha256_of, write_lock

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
"""The broker; its whole closure is locked."""
KAFKA_LOGGER = "org.slf4j:slf4j-simple:1.7.36"
CONNECTORS = (
    "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2",
    "org.apache.flink:flink-connector-jdbc-core:4.0.0-2.0",
    "org.apache.flink:flink-connector-jdbc-postgres:4.0.0-2.0",
    "org.postgresql:postgresql:42.7.14",
    # What the connector leaves out, in the broker's version: lz4 and snappy are in Flink's own jar.
    "com.github.luben:zstd-jni:1.5.6-10",
)
"""Built for Flink 2.0 and 2.2, and run on 2.3: nothing official was built for it. The last one: topics may be
compressed with zstd."""
PLANNER = "org.apache.flink:flink-table-planner_2.12:2.3.0"


def main() -> None:
    """Write the lock beside this module."""
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as place:
        context = MavenContext(repo_cache=Path(place), timeout=60)

        def lock(coordinate: str) -> LockedJar:
            path = context.create_dependency(coordinate).artifact.resolve()
            sys.stderr.write(f"{coordinate}\n")
            return LockedJar(coordinate, path.stat().st_size, sha256_of(path))

        inputs, closure = context.resolver.resolve([context.create_dependency(KAFKA)])
        kafka = [f"{jar.groupId}:{jar.artifactId}:{jar.version}" for jar in (*inputs, *closure)]
        text = write_lock(
            {
                "kafka": tuple(lock(coordinate) for coordinate in (*kafka, KAFKA_LOGGER)),
                "connectors": tuple(lock(coordinate) for coordinate in CONNECTORS),
                "planner": (lock(PLANNER),),
            }
        )
    (Path(__file__).parent / LOCK_NAME).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
