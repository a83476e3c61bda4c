"""The dashboard in a browser: textual-serve runs one for each page that is opened."""

SERVER = "COFFEE_TUI_SERVER"
"""Variable with the process id of the server, for the dashboards that it starts."""
