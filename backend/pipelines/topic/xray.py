"""Pipelines of a topic under X-ray: the record, as it lies there."""

import json

from backend.pipelines.xray import RowXRay, Step, StoredOrder


class TopicXRay(RowXRay):
    """The record that the API has produced."""

    async def between(self, stored: StoredOrder) -> list[Step]:
        """Return the record with its key and its place."""
        log = self._pipeline.info.log
        assert log is not None, "a pipeline of a topic has one"
        value = json.dumps(stored.order.to_fields(), separators=(",", ":"))
        where = f"topic {log.name}, partition:offset {stored.source_id}, key {stored.order.message_id}"
        return [Step("record", value, note=f"{where}; key and id are one, so repeats share a partition")]
