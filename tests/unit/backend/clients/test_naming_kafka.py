"""What the audit says of an error of the Kafka driver."""

import pytest
from aiokafka.errors import CorruptRecordException, KafkaConnectionError, UnsupportedCodecError

from backend.clients.kafka import naming_kafka
from backend.clients.servers import UnreachableError
from coffee_core.errors import CoffeeError


@pytest.mark.parametrize("error", [UnsupportedCodecError("no zstd"), CorruptRecordException("Invalid CRC")])
def test_a_record_that_cannot_be_read_is_no_server_that_cannot_be_reached(error: Exception) -> None:
    words = "a record of Kafka at broker:9092 cannot be read"
    with pytest.raises(CoffeeError, match=words) as found, naming_kafka("broker:9092"):
        raise error
    assert not isinstance(found.value, UnreachableError)


@pytest.mark.parametrize("error", [KafkaConnectionError("refused"), OSError("refused")])
def test_a_server_that_is_away_cannot_be_reached(error: Exception) -> None:
    with pytest.raises(UnreachableError, match="refused"), naming_kafka("broker:9092"):
        raise error
