from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from backend.clients.kafka_producer import partition_of


@given(st.uuids().map(lambda each: str(each).encode()) | st.binary(max_size=40), st.integers(1, 50))
def test_it_is_the_one_that_every_other_client_sends_the_key_to(key: bytes, partitions: int) -> None:
    numbers = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, numbers, numbers)
