"""W3C trace context: what joins an order's request to what is done for it later, in other processes."""

import re

FIELD = "traceparent"
"""Name of the request header, of the Kafka header and of the stream entry's field that carry it."""

# A later version may append more; this is how the recommendation has us read it (all but version ff).
_FORM = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,128})?"
)


def trace_id(traceparent: str) -> str:
    """Return the trace id (32 hexadecimal digits) of a ``traceparent``; nothing where it has not its form."""
    found = _FORM.fullmatch(traceparent)
    return found[1] if found and not (traceparent.startswith("00-") and len(traceparent) > 55) else ""
