"""Steps that a GPU replays: what can be seen of them without one."""

from __future__ import annotations

import pytest
import torch

from pocket.hashing import replay
from pocket.hashing.augmentation import Augmentation, Draw
from pocket.hashing.lessons import Drawn
from pocket.hashing.mixing import Paste
from pocket.hashing.replay import Replay


def test_a_step_gives_its_own_loss_and_gradients() -> None:
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    learn = Replay(lambda x, more: (weight * x).sum() + more[0] * 0, [weight], torch.device("cpu"))
    for x in (torch.tensor([3.0, 4.0]), torch.tensor([5.0, 6.0])):
        loss = learn(x, (torch.ones(()), None))
        assert loss == (weight.detach() * x).sum()
        assert not loss.requires_grad
        assert torch.equal(weight.grad, x), "set, not added to"  # type: ignore[arg-type]


def test_inputs_of_any_form_are_kept_and_filled_in_place() -> None:
    def given(seed: int) -> tuple[torch.Tensor, Drawn]:
        source = torch.Generator().manual_seed(seed)
        warps = (Augmentation(shift=0.1, cutout=0.2).draw(3, source),)
        return torch.rand(3, generator=source), Drawn(warps, Paste.draw(3, 8, 1.0, source))

    def tensors(of: tuple[torch.Tensor, Drawn]) -> list[torch.Tensor]:
        (warp,), paste = of[1]
        assert isinstance(warp, Draw)
        assert isinstance(paste, Paste)
        assert warp.colour is None
        assert warp.hole is not None
        return [of[0], warp.theta, warp.hole, *paste]

    first, second = given(0), given(1)
    mine = replay._copies(first)
    places = [tensor.data_ptr() for tensor in tensors(mine)]
    replay._fill(mine, second)
    assert places == [tensor.data_ptr() for tensor in tensors(mine)]
    assert all(map(torch.equal, tensors(mine), tensors(second)))
    assert not torch.equal(mine[0], first[0]), "copies, not the first inputs themselves"


def test_the_switch_says_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert replay.wanted()
    monkeypatch.setenv("POCKET_GRAPHS", "off")
    assert not replay.wanted()
    monkeypatch.setenv("POCKET_GRAPHS", "maybe")
    with pytest.raises(ValueError, match="POCKET_GRAPHS='maybe': set it to on or off"):
        replay.wanted()
