"""The Procfile: the same lab, run by honcho."""

import sys
from pathlib import Path

from coffee_core.pipelines.constants import V2
from tests.e2e.lab import Lab
from tests.e2e.truth import expected_rows, mixed_attempts, post_all, shown_totals, stored_totals
from tests.waiting import until


async def test_honcho_start_is_the_same_lab(small_lab: Lab) -> None:
    # honcho runs the lines by a shell, which must find the command `coffee` of this environment.
    small_lab.env["PATH"] = f"{Path(sys.executable).parent}:{small_lab.env['PATH']}"
    small_lab.start((sys.executable, "-m", "honcho", "start"))
    attempts = mixed_attempts(V2, 200, seed=20)
    await post_all(small_lab.settings, V2, attempts)

    async def all_are_shown() -> bool:
        return (await shown_totals(small_lab.settings, V2)).orders == len(expected_rows(attempts))

    await until(all_are_shown, within_s=120)
    assert await stored_totals(small_lab.settings, V2) == await shown_totals(small_lab.settings, V2)
    small_lab.stop()
    await until(lambda: not small_lab.left())
