"""Variables that a shell has for other programs, and a folder with files of somebody else's project."""

from pathlib import Path

NOWHERE = "/nowhere/at-all"
HOSTILE = {
    # PostgreSQL in the cloud.
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": NOWHERE,
    "PGSSLNEGOTIATION": "direct",
    "PGTARGETSESSIONATTRS": "standby",
    "PGPASSFILE": NOWHERE,
    "PGPASSWORD": "wrong",
    "PGSERVICE": "elsewhere",
    "PGOPTIONS": "-c search_path=elsewhere",
    "PGDATA": NOWHERE,
    "PGGSSLIB": "none",
    # Somebody's own Java.
    "JAVA_TOOL_OPTIONS": "-XX:+UseG1GC",
    "JDK_JAVA_OPTIONS": "-XX:+UseZGC",
    "_JAVA_OPTIONS": "-Xmx48m",
    "JVM_ARGS": "-Xmx1m",
    "FLINK_ENV_JAVA_OPTS": "-Xmx1m",
    "JAVA_HOME": NOWHERE,
    "CLASSPATH": NOWHERE,
    "KAFKA_OPTS": "-Xmx1m",
    "KAFKA_HEAP_OPTS": "-Xmx1m",
    "FLINK_HOME": NOWHERE,
    "FLINK_CONF_DIR": NOWHERE,
    "FLINK_LIB_DIR": NOWHERE,
    "HADOOP_CONF_DIR": NOWHERE,
    "PYFLINK_GATEWAY_PORT": "1",
    "SUBMIT_ARGS": "remote",
    # Python, and its libraries.
    "PYTHONPATH": NOWHERE,
    "PYTHONSTARTUP": NOWHERE,
    "PYTHONPYCACHEPREFIX": NOWHERE,
    "PYTHONOPTIMIZE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "WEB_CONCURRENCY": "auto",
    "AIOKAFKA_NO_EXTENSIONS": "1",
    # The terminal of somebody else.
    "COLUMNS": "20",
    "LINES": "5",
    "TEXTUAL_DRIVER": "no.such:Driver",
    # The web; port 9 is nobody's.
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "LC_ALL": "C",
}


def fill_with_others_files(folder: Path) -> None:
    """Make a folder of somebody else's project, with names that modules of ours and of our libraries have."""
    for package in ("backend", "flink", "coffee_tui", "alembic"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
    for module in ("redis", "asyncpg", "secrets", "struct", "uvloop", "aiokafka", "psutil", "sitecustomize"):
        text = f"raise SystemExit('{module}.py of the working folder was imported')\n"
        (folder / f"{module}.py").write_text(text, encoding="utf-8")
