from backend.pipelines.v1_direct.aggregator import Fence


def test_a_fence_survives_its_text() -> None:
    fence = Fence("10:20:11,15", 1_700_000_000_000_000)
    assert Fence.parse(str(fence)) == fence
    assert Fence.parse(str(Fence())) == Fence.parse(None) == Fence()
