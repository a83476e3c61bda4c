"""Message ids: UUIDv7 where the API makes them, a client's key otherwise."""

import subprocess
import sys
from uuid import RFC_4122, UUID

import pytest

from coffee_core.errors import OrderError
from coffee_core.ids import new_message_id, parse_idempotency_key

KEY = "0190f5fe-7c1e-7abc-8def-0123456789ab"


def test_made_ids_are_version_7_distinct_and_sort_by_time() -> None:
    ids = [new_message_id() for _ in range(1_000)]
    assert {(each.version, each.variant) for each in ids} == {(7, RFC_4122)}
    assert len(set(ids)) == len(ids)
    milliseconds = [each.int >> 80 for each in ids]
    assert milliseconds == sorted(milliseconds)


_FORK = """
import os
from coffee_core.ids import new_message_id
new_message_id()  # so that there is a stock to inherit
child = os.fork()
os.write(1, f"{new_message_id()}\\n".encode())  # in one piece: print() would write the end of the line apart
if child:
    os.waitpid(child, 0)
"""


def test_a_forked_process_makes_other_ids() -> None:
    # In a process of its own: this one may have threads, which do not go well with a fork.
    said = subprocess.run([sys.executable, "-c", _FORK], capture_output=True, text=True, check=True).stdout
    ours, theirs = said.split()
    assert ours[-17:] != theirs[-17:]


@pytest.mark.parametrize("header", [KEY, f'"{KEY}"', f"  {KEY} ", KEY.upper()])
def test_a_key_is_taken_bare_or_quoted(header: str) -> None:
    assert parse_idempotency_key(header) == UUID(KEY)


@pytest.mark.parametrize(
    "header", ["", '"', '""', "abc", KEY[:-1], KEY.replace("-", ""), "{" + KEY + "}", f"urn:uuid:{KEY}"]
)
def test_anything_else_is_refused_by_the_headers_name(header: str) -> None:
    with pytest.raises(OrderError, match="Idempotency-Key"):
        parse_idempotency_key(header)
