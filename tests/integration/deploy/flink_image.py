"""The image of Flink at work: JobManager, TaskManager and submitter, each started as its container is."""

import subprocess
from dataclasses import replace
from pathlib import Path

from coffee_core.settings import Settings
from tests.integration.deploy.rehearsal import Stage
from tests.outside.storage import Storage
from tests.servers import free_port, tail

JOB_MANAGER, TASK_MANAGER, SUBMITTER = "jobmanager", "taskmanager", "job"


class FlinkImage:
    """A cluster out of one image, on ports of its own."""

    def __init__(self, image: Stage, logs: Path, settings: Settings, storage: Storage) -> None:
        self._image = image
        self._logs = logs
        rpc, blob, rest = (free_port() for _ in range(3))
        # Where a container has an address of its own, these share one; what else they say is the image's.
        self._options = [
            *(f"jobmanager.rpc.port={rpc}", f"blob.server.port={blob}", "rest.address=127.0.0.1"),
            *(f"rest.port={rest}", "rest.bind-address=127.0.0.1", "jobmanager.bind-host=127.0.0.1"),
            *("taskmanager.bind-host=127.0.0.1", "taskmanager.host=127.0.0.1", "io.tmp.dirs=/tmp"),
            *(f"s3.endpoint={storage.url}", "s3.path.style.access=true", "jobmanager.rpc.address=127.0.0.1"),
            "web.tmpdir=/tmp",
        ]
        # What the compose file and the chart give it.
        addresses = replace(settings, given_flink_rest_url=f"http://127.0.0.1:{rest}").addresses
        self._environ = addresses | {
            "COFFEE_TOPIC_PARTITIONS": str(settings.topic_partitions),
            "COFFEE_FLINK_CHECKPOINTS": settings.given_flink_checkpoints,
        }
        # The submitter does without: it never reads a checkpoint.
        self._credentials = storage.credentials
        self._running: dict[str, subprocess.Popen[str]] = {}

    def start_cluster(self) -> None:
        """Start JobManager and TaskManager by the image's scripts."""
        options = [word for each in self._options for word in ("-D", each)]
        self._start(JOB_MANAGER, [*self._image.command, *options], **self._credentials)
        script = self._image.command[0].replace("jobmanager", "taskmanager")
        self._start(TASK_MANAGER, [script, "start-foreground", *options], **self._credentials)

    def start_submitter(self) -> None:
        """Start what plans the job and watches over it."""
        self._start(SUBMITTER, ["python", "-m", "flink.submit"])

    def kill_cluster(self) -> None:
        """End JobManager and TaskManager as a power cut does."""
        for name in (JOB_MANAGER, TASK_MANAGER):
            self._end(name)

    def close(self) -> None:
        """End all that runs."""
        for name in list(self._running):
            self._end(name)

    def said(self, name: str) -> str:
        """Return the end of what a part has said."""
        return tail(self._logs / name)

    def ended(self) -> list[str]:
        """Return the parts that have ended by themselves, and what they said last."""
        return [
            f"{name}: {self.said(name)}" for name, process in self._running.items() if process.poll() is not None
        ]

    def _start(self, name: str, command: list[str], **further: str) -> None:
        self._running[name] = self._image.start(command, self._logs / name, **self._environ, **further)

    def _end(self, name: str) -> None:
        process = self._running.pop(name)
        process.kill()
        process.wait()
