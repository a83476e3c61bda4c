"""Which pipeline, for what is asked: a question, what this machine measures of it, and a decision on one page."""
