"""``python -m flink.healthcheck [TASKMANAGER]``: whether the JobManager answers, and knows this TaskManager.

For the health checks of containers, which have no other client of Flink's REST API.
"""

import sys
import urllib.error
import urllib.request

from coffee_core.errors import ConfigError
from coffee_core.server_urls import HttpUrl
from coffee_core.settings import Settings

_TIMEOUT_S = 3.0


def main(arguments: list[str]) -> int:
    """Return the exit code: 0, or 1 with one line that says what is missing."""
    try:
        to = HttpUrl.parse(Settings.from_env().flink_rest_url)
        path = f"/taskmanagers/{arguments[0]}" if arguments else "/overview"
        # S310: the setting takes http and https alone.
        asked = urllib.request.Request(f"{to.base}{path}", headers=to.authorization)  # noqa: S310
        with urllib.request.urlopen(asked, timeout=_TIMEOUT_S):  # noqa: S310
            return 0
    except urllib.error.HTTPError as error:
        error.close()
        missing = f"{arguments[0]} is not registered" if arguments and error.code == 404 else f"it answers {error}"
    except (ConfigError, OSError) as error:
        missing = str(error)
    sys.stderr.write(f"Flink: {missing}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
