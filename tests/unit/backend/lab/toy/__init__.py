"""A pipeline that is not built in, with a stream of its own, as the lab sees it."""
