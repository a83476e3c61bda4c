"""One HTML file that needs nothing else: what a report looks like in a browser."""
