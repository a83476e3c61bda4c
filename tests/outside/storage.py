"""Object storage of one's own: SeaweedFS with its S3 API on loopback, for one user with a secret key."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from coffee_core.parent_death_signal import dies_with_parent
from tests.servers import free_port, run, tail
from tests.waiting import until

USER, SECRET = "flink", "hush-storage"
_FORBIDDEN = 403
_LISTENERS = ("master", "volume", "filer", "s3")


@dataclass
class Storage:
    """A server with one bucket; use it as a context manager."""

    folder: Path
    bucket: str
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def credentials(self) -> dict[str, str]:
        """What a client has in its environment."""
        return {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": SECRET}

    def __enter__(self) -> Self:
        data, users = self.folder / "data", self.folder / "users.json"
        data.mkdir(parents=True)
        key = {"accessKey": USER, "secretKey": SECRET}
        users.write_text(json.dumps({"identities": [{"name": USER, "credentials": [key], "actions": ["Admin"]}]}))
        ports = {each: (free_port(), free_port()) for each in _LISTENERS}
        self.port = ports["s3"][0]
        options = [f"-{each}.port={http}" for each, (http, _) in ports.items()]
        options += [f"-{each}.port.grpc={grpc}" for each, (_, grpc) in ports.items()]
        options += [f"-{each}.localSocket={self.folder / each}.sock" for each in ("filer", "s3")]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    Path(sys.executable).with_name("weed"),
                    *("-logtostderr=true", "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
                    *("-filer", "-s3", f"-s3.config={users}", "-s3.iam=false", "-master.telemetry=false"),
                    *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64"),
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=dies_with_parent(),
            )
        try:
            run(lambda: until(self._answers, 60, "the storage answers"))
            # A bucket is a folder of the file server that lies below.
            filer = f"http://127.0.0.1:{ports['filer'][0]}/buckets/{self.bucket}/"
            urlopen(Request(filer, method="POST"), timeout=10).close()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        """Whether strangers are turned away: then it knows who is none."""
        assert self.process is not None
        assert self.process.poll() is None, tail(self.folder / "log")
        try:
            urlopen(self.url, timeout=5).close()
        except HTTPError as error:
            return error.code == _FORBIDDEN
        except URLError:
            pass
        return False
