"""Pipelines of a topic under X-ray: the record, as it lies there."""

import json
import re

from backend.pipelines.xray import RowXRay, StoredOrder
from coffee_core.xray import Step

_PLACE = re.compile("([0-9]{1,9}):([0-9]{1,18})")


class TopicXRay(RowXRay):
    """The record that the API has produced. Others add what comes ``after_record``."""

    async def between(self, stored: StoredOrder) -> list[Step]:
        """Return the record with its key and its place, and what was made of it."""
        log = self._pipeline.info.log
        assert log is not None, "a pipeline of a topic has one"
        place = _PLACE.fullmatch(stored.source_id)
        if place is None:
            return []  # a row that somebody else has put there
        value = json.dumps(stored.order.to_fields(), separators=(",", ":"))
        where = f"topic {log.name}, partition {place[1]}, offset {place[2]}, key {stored.order.message_id}"
        record = Step("record", value, note=f"{where}; key and id are one, so repeats share a partition")
        return [record, *await self.after_record(stored, int(place[1]), int(place[2]))]

    async def after_record(self, stored: StoredOrder, partition: int, offset: int) -> list[Step]:
        """Return what the pipeline has made of the record at this place."""
        raise NotImplementedError
