"""The self-attention stack: torch's own encoder with the same weights, all code paths, and padding."""

import pytest
import torch

from flair_espvr.nn import SelfAttentionStack

LENGTHS = [6, 2, 4]
LONG = 20
"""Times as many words, which are too many for torch's fused layer."""
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture
def stack():
    torch.manual_seed(0)
    return SelfAttentionStack(5, 8, num_heads=2, num_layers=3, dropout=0.0)


@pytest.fixture(params=[1, LONG])
def batch(request):
    torch.manual_seed(1)
    lengths = request.param * torch.tensor(LENGTHS).unsqueeze(1)
    return torch.randn(3, int(lengths.max()), 5), torch.arange(int(lengths.max())) < lengths


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_equals_torch_encoder_with_the_same_weights_and_random_numbers(batch, dropout):
    words, mask = batch
    stack = SelfAttentionStack(5, 8, num_heads=2, num_layers=3, dropout=dropout)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 32, dropout=dropout, activation="gelu", batch_first=True)
    encoder = torch.nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    encoder.layers.load_state_dict(stack.layers.state_dict())
    torch.manual_seed(2)
    expected = encoder(words @ stack.projection.weight.T + stack.projection.bias, src_key_padding_mask=~mask)
    torch.manual_seed(2)
    torch.testing.assert_close(stack(words, mask)[mask], expected[mask], **CLOSE)


def test_memory_does_not_grow_with_the_square_of_the_words(stack):
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile, torch.inference_mode():
        stack.eval()(torch.randn(1, 3_000, 5), torch.ones(1, 3_000, dtype=torch.bool))
    assert 0 < max(event.cpu_memory_usage for event in profile.key_averages()) < 3_000 * 3_000


def test_inference_equals_training(stack, batch):
    words, mask = batch
    trained = stack(words, mask)
    stack.eval()
    # torch takes another, fused code path here, in which padding may come out as anything.
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            inferred = stack(words, mask)
        assert inferred.isfinite().all()
        torch.testing.assert_close(inferred[mask], trained[mask], **CLOSE)


@pytest.mark.parametrize("inference", [False, True])
def test_padding_and_other_rows_do_not_matter(stack, batch, inference):
    words, mask = batch
    stack.train(not inference)
    with torch.inference_mode(inference):
        result = stack(words, mask)
        noisy = stack(words.masked_fill(~mask.unsqueeze(-1), 50.0), mask)
        torch.testing.assert_close(noisy[mask], result[mask], **CLOSE)
        for row, length in enumerate(mask.sum(dim=1).tolist()):
            alone = stack(words[row : row + 1, :length], mask[row : row + 1, :length])
            torch.testing.assert_close(alone[0], result[row, :length], **CLOSE)


def test_a_row_without_words_is_finite_and_so_are_gradients(stack, batch):
    words, mask = batch
    mask[1] = False
    with torch.inference_mode():
        assert stack.eval()(words, mask).isfinite().all()
    result = stack.train()(words.requires_grad_(), mask)
    assert result.isfinite().all()
    result[mask].sum().backward()
    for gradient in (words.grad, *(parameter.grad for parameter in stack.parameters())):
        assert gradient.isfinite().all()


def test_no_layers_leave_the_projection(batch):
    words, mask = batch
    stack = SelfAttentionStack(5, 8, num_heads=2, num_layers=0, dropout=0.5)
    assert torch.equal(stack(words, mask), stack.projection(words))


def test_layers_start_from_weights_of_their_own(stack):
    first, second, _ = (layer.linear1.weight for layer in stack.layers)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_autocast(stack, batch, training):
    words, mask = batch
    stack.train(training)
    with torch.set_grad_enabled(training), torch.autocast("cpu", torch.bfloat16):
        half = stack(words, mask)
    torch.testing.assert_close(half.float()[mask], stack(words, mask)[mask], atol=0.1, rtol=0.1)
