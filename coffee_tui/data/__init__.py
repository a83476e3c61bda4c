"""Where the dashboard's figures come from: Redis, the API, the run files. Knows no Textual."""
