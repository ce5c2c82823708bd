"""Attention over feature maps, as readers of text in pictures have it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seq2seq_fast.nn import Attention2d

B, C, H, W, Q, A = 2, 3, 4, 5, 6, 7


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("masked", [False, True])
def test_holds_the_weights_of_doctrs_sar(masked):
    """``AttentionModule`` of docTR: a 3 x 3 convolution of the maps, 1 x 1 ones of the state and onto the score; MMOCR
    masks what lies beyond a picture's width, and asks for all steps at once."""
    feat_conv, feat_bias, state_conv, projector = draw(A, C, 3, 3), draw(A), draw(A, Q, 1, 1), draw(1, A, 1, 1)
    features, state, kept = draw(B, C, H, W), draw(B, 3, Q), torch.ones(B, H, W, dtype=torch.bool)
    if masked:
        kept = (torch.arange(W) < torch.tensor([5, 2])[:, None, None]).expand(B, H, W)
    features = features.masked_fill(~kept.unsqueeze(1), 0)
    feat = F.conv2d(features, feat_conv, feat_bias, padding=1)
    contexts, expected = [], []
    for hidden in state.unbind(1):
        inside = torch.tanh(F.conv2d(hidden[:, :, None, None], state_conv) + feat)
        scores = F.conv2d(inside, projector).masked_fill(~kept.unsqueeze(1), -torch.inf)
        weights = scores.flatten(2).softmax(2).reshape(B, 1, H, W)
        contexts.append((features * weights).sum((2, 3)))
        expected.append(weights.squeeze(1))

    layer = Attention2d(Q, C, A).double()
    layer.load_state_dict(
        {
            "query_projection.weight": state_conv.flatten(1), "v": projector.flatten(),
            "key_projection.weight": feat_conv, "key_projection.bias": feat_bias,
        }
    )  # fmt: skip
    poisoned = features.masked_fill(~kept.unsqueeze(1), torch.nan).requires_grad_()
    memory = layer.memory(poisoned, mask=kept)
    assert memory.keys.is_contiguous() and memory.values.is_contiguous()
    context, weights = layer(state, memory=memory)
    torch.testing.assert_close(weights.unflatten(-1, (H, W)), torch.stack(expected, 1))
    torch.testing.assert_close(context, torch.stack(contexts, 1))
    one, one_weights = layer(state[:, 1], poisoned, mask=kept)
    torch.testing.assert_close(one, contexts[1])
    assert one_weights.shape == (B, H * W)
    context.square().sum().backward()
    assert poisoned.grad.isfinite().all() and (poisoned.grad[~kept.unsqueeze(1).expand_as(poisoned)] == 0).all()
    assert all(parameter.grad.abs().sum() > 0 for parameter in layer.parameters())


def test_any_module_projects_the_keys_and_keys_may_be_other_maps():
    projection = nn.Sequential(nn.Conv2d(C, A, 1), nn.ReLU()).double()
    layer = Attention2d(Q, C, A, key_projection=projection, activation="relu").double()
    keys, values, query = draw(B, C, H, W), draw(B, 8, H, W), draw(B, Q)
    scores = torch.relu(projection(keys).flatten(2).transpose(1, 2) + layer.query_projection(query).unsqueeze(1))
    expected = (scores @ layer.v).softmax(1)
    context, weights = layer(query, values, keys=keys)
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(context, torch.einsum("bn,bdn->bd", expected, values.flatten(2)))


def test_masks_of_a_call_are_pictures_too():
    layer, maps, query = Attention2d(Q, C, A).double(), draw(B, C, H, W), draw(B, 3, Q)
    memory, mask = layer.memory(maps), torch.rand(B, 3, H, W) > 0.4
    weights = layer(query, memory=memory, mask=mask)[1]
    assert (weights[~mask.flatten(2)] == 0).all()
    torch.testing.assert_close(layer(query, maps, mask=mask)[1], weights)
    torch.testing.assert_close(layer(query[:, 1], memory=memory, mask=mask[:, 1])[1], weights[:, 1])


def test_mistakes_are_answered():
    layer, maps, query = Attention2d(Q, C, A), torch.randn(B, C, H, W), torch.randn(B, Q)
    with pytest.raises(ValueError, match=r"lengths tell of one axis, pictures have two: write mask=, \[B, H, W\]"):
        layer(query, maps, lengths=[1, 2])
    with pytest.raises(ValueError, match=r"mask must be \[B, H, W\] .* with H, W = \(4, 5\); got shape \(2, 5, 4\)"):
        layer(query, maps, mask=torch.ones(B, W, H, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"values must have 4 dimensions, \[B, D, H, W\]"):
        layer(query, maps.flatten(2))
    with pytest.raises(ValueError, match=r"values \(which are the keys\) must be \[B, C, H, W\] = \[2, 3, 4, 5\]"):
        layer(query, maps[:, :2])
    with pytest.raises(ValueError, match=r"key_projection\(keys\) must be \[B, A, H, W\]"):
        Attention2d(Q, C, A, key_projection=nn.Conv2d(C, A, 3))(query, maps)
    memory = layer.memory(maps)
    with torch.no_grad():
        layer.key_projection.weight.mul_(2)
    with pytest.raises(ValueError, match="memory was made before this layer's weights changed"):
        layer(query, memory=memory)
