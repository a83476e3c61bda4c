from tests.integration.lab.conftest import client, connection, settings

__all__ = ["client", "connection", "settings"]
