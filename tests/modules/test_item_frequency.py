from __future__ import annotations

import torch

from tzrec.modules.item_frequency import ItemFrequency


def test_probabilities_equal_the_reference() -> None:
    """With many buckets no two items share one, so that each item has averages of its own."""
    module, decay, initial = ItemFrequency(1 << 20, 2, 0.2, 10.0), 0.2, 10.0
    last_step: dict[int, int] = {}
    gap: dict[int, float] = {}
    rng = torch.Generator().manual_seed(0)
    for step in range(1, 30):
        ids = torch.randint(0, 12, (6,), generator=rng)
        received = module.log_probability(ids)
        for item in set(ids.tolist()):  # once for each step
            gap[item] = (1 - decay) * gap.get(item, initial) + decay * (step - last_step.get(item, 0))
            last_step[item] = step
        expected = torch.tensor([1 / gap[item] for item in ids.tolist()]).log()
        torch.testing.assert_close(received, expected, rtol=1e-5, atol=1e-5)
        module.observe(ids)


def test_estimates_approach_the_frequency() -> None:
    """Item 0 is in every batch, item 1 in every fourth."""
    module = ItemFrequency(1000, 2, 0.1, 50.0)
    for step in range(600):
        module.observe(torch.tensor([0, 1] if step % 4 == 3 else [0]))
    torch.testing.assert_close(module.gaps.amin(), torch.tensor(1.0), rtol=0, atol=0.01)
    probabilities = module.log_probability(torch.tensor([0])).exp()
    torch.testing.assert_close(probabilities, torch.tensor([1.0]), rtol=0, atol=0.01)
    buckets = module._buckets(torch.tensor([1]))
    torch.testing.assert_close(module.gaps.gather(1, buckets), torch.full((2, 1), 4.0), rtol=0, atol=0.01)


def test_items_with_one_shared_bucket_keep_their_estimate() -> None:
    """The larger gap of several hash tables counts."""
    module = ItemFrequency(7, 4, 0.5, 100.0)
    buckets = module._buckets(torch.arange(50))
    first = next(
        (i, j) for i in range(50) for j in range(i) if 0 < (buckets[:, i] == buckets[:, j]).sum() < len(buckets)
    )
    for _ in range(10):
        module.observe(torch.tensor([first[0]]))
    rare = module.log_probability(torch.tensor([first[1]])).exp()
    assert rare < 0.02


def test_reading_changes_nothing() -> None:
    module = ItemFrequency(100, 2, 0.1, 50.0)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.log_probability(torch.arange(5))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_buckets_are_spread_evenly() -> None:
    counts = torch.bincount(ItemFrequency(16, 1, 0.1, 1.0)._buckets(torch.arange(16000))[0], minlength=16)
    assert counts.min() > 900
    assert counts.max() < 1100


def test_state_is_saved_and_restored() -> None:
    module = ItemFrequency(100, 2, 0.1, 50.0)
    module.observe(torch.tensor([3, 4]))
    other = ItemFrequency(100, 2, 0.1, 50.0)
    other.load_state_dict(module.state_dict())
    ids = torch.arange(6)
    assert torch.equal(other.log_probability(ids), module.log_probability(ids))
