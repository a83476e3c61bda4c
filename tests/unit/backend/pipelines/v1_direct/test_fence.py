import pytest
from redis.exceptions import ResponseError

from backend.pipelines.v1_direct.fence import Fence


def test_a_fence_survives_its_text() -> None:
    fence = Fence("10:20:11,15", 1_700_000_000_000_000)
    assert Fence.parse(str(fence)) == fence
    assert Fence.parse(str(Fence())) == Fence.parse(None) == Fence()


@pytest.mark.parametrize("text", ["abc", "abc 5", "1:2:", "1:2: x", "1:2: ٣", "1:2: -5", "1:2:3;4 5", "1:2: 5\n"])
def test_what_somebody_else_has_written_is_named_with_what_to_do(text: str) -> None:
    with pytest.raises(ResponseError, match=r"^v1:lab:fence holds no snapshot and time; delete it$"):
        Fence.parse(text)
