"""The CRF against sums over every tagging, pytorch-crf itself, and a float64 reference on long sentences."""

import itertools
import math
import pickle

import pytest
import torch
import torchcrf
from hypothesis import given, settings
from hypothesis import strategies as st

from flair_espvr.nn import LinearChainCRF, Spans, bio_spans

ONE_TYPE = ["O", "B", "I"]
TWO_TYPES = ["I-LOC", "B-PER", "O", "B-LOC", "I-PER"]  # in no particular order
LABEL_SETS = pytest.mark.parametrize("labels", [ONE_TYPE, TWO_TYPES], ids=["one-type", "two-types"])
LENGTHS = [5, 1, 3, 2]


def is_legal(tags):
    """BIO2 in its own words: an inside label continues a label of its type."""
    return all(
        not tag.startswith("I") or (previous != "O" and previous[1:] == tag[1:])
        for previous, tag in itertools.pairwise(["O", *tags])
    )


def entities_of(tags):
    """(type, start, end) of each entity of a legal tagging."""
    entities = []
    for index, tag in enumerate(tags):
        if tag.startswith("B"):
            entities.append((tag[2:], index, index + 1))
        elif tag.startswith("I"):
            kind, start, _ = entities[-1]
            entities[-1] = (kind, start, index + 1)
    return entities


def make_crf(labels, seed=0):
    """A CRF with parameters far from zero."""
    torch.manual_seed(seed)
    crf = LinearChainCRF(labels)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=1.5)
    return crf


def make_batch(labels, lengths=LENGTHS):
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    return 2.0 * torch.randn(len(lengths), max(lengths), len(labels)), mask


def probabilities(crf, labels, emissions):
    """Probability of each legal tagging of one sentence (T, L), by adding them all up in double precision."""
    transitions, start, end = (
        parameter.detach().double().tolist()
        for parameter in (crf.crf.transitions, crf.crf.start_transitions, crf.crf.end_transitions)
    )
    emissions = emissions.double().tolist()
    scores = {}
    for ids in itertools.product(range(len(labels)), repeat=len(emissions)):
        if is_legal([labels[i] for i in ids]):
            scores[ids] = (
                start[ids[0]]
                + sum(row[i] for row, i in zip(emissions, ids, strict=True))
                + sum(transitions[i][j] for i, j in itertools.pairwise(ids))
                + end[ids[-1]]
            )
    highest = max(scores.values())
    total = sum(math.exp(score - highest) for score in scores.values())
    return {ids: math.exp(score - highest) / total for ids, score in scores.items()}


@LABEL_SETS
def test_loss_equals_brute_force(labels):
    crf = make_crf(labels)
    emissions, mask = make_batch(labels)
    for row, length in enumerate(LENGTHS):
        expected = probabilities(crf, labels, emissions[row, :length])
        for ids in list(expected)[:: max(1, len(expected) // 20)]:
            tags = torch.full(mask.shape, -100)  # a label id that no layer knows
            tags[row, :length] = torch.tensor(ids)
            tags[mask & (tags < 0)] = labels.index("O")
            loss = crf.loss(emissions, tags, mask)[row].item()
            assert loss == pytest.approx(-math.log(expected[ids]), abs=1e-4)


@LABEL_SETS
def test_decode_equals_brute_force(labels):
    for seed in range(20):
        crf = make_crf(labels, seed)
        emissions, mask = make_batch(labels)
        decoded = crf.decode(emissions, mask).tolist()
        for row, length in enumerate(LENGTHS):
            expected = probabilities(crf, labels, emissions[row, :length])
            assert tuple(decoded[row][:length]) == max(expected, key=expected.__getitem__)
            assert decoded[row][length:] == [labels.index("O")] * (max(LENGTHS) - length)


@LABEL_SETS
def test_label_probabilities_equal_brute_force(labels):
    crf = make_crf(labels)
    emissions, mask = make_batch(labels)
    marginals = crf.label_probabilities(emissions, mask)
    assert (marginals[~mask] == 0).all()
    for row, length in enumerate(LENGTHS):
        expected = torch.zeros(length, len(labels))
        for ids, probability in probabilities(crf, labels, emissions[row, :length]).items():
            for word, label in enumerate(ids):
                expected[word, label] += probability
        torch.testing.assert_close(marginals[row, :length], expected, atol=1e-5, rtol=0)


@LABEL_SETS
def test_span_probabilities_equal_brute_force(labels):
    crf = make_crf(labels)
    emissions, mask = make_batch(labels)
    # Every span of the longest sentence, of every type, asked of every sentence it fits in.
    candidates = [
        (kind, start, end)
        for kind in range(len(crf.types))
        for start in range(max(LENGTHS))
        for end in range(start + 1, max(LENGTHS) + 1)
    ]
    kind, start, end = (field.expand(len(LENGTHS), -1) for field in torch.tensor(candidates).unbind(dim=1))
    exists = end <= torch.tensor(LENGTHS).unsqueeze(1)
    spans = Spans(start * exists, end * exists, kind * exists, exists)
    result = crf.span_probabilities(emissions, mask, spans)
    assert (result[~exists] == 0).all()
    for row, length in enumerate(LENGTHS):
        taggings = probabilities(crf, labels, emissions[row, :length])
        for column, (kind, start, end) in enumerate(candidates):
            if end <= length:
                wanted = (crf.types[kind], start, end)
                expected = sum(p for ids, p in taggings.items() if wanted in entities_of([labels[i] for i in ids]))
                assert result[row, column].item() == pytest.approx(expected, abs=1e-5)


def log_partition(crf, emissions):
    """Plain forward algorithm in double precision for one sentence (T, L), illegal transitions left out."""
    transitions, start, end = (value.double() for value in crf._chain())
    score = start + emissions[0]
    for row in emissions[1:]:
        score = torch.logsumexp(score.unsqueeze(1) + transitions, dim=0) + row
    return torch.logsumexp(score + end, dim=0)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_posteriors_of_long_sentences(scale):
    crf = make_crf(TWO_TYPES)
    lengths = [500, 350]
    emissions, mask = make_batch(TWO_TYPES, lengths)
    emissions = scale * emissions
    emissions[0, 100:300, TWO_TYPES.index("I-LOC")] += 20.0 * scale  # one very long entity
    spans = bio_spans(crf.decode(emissions, mask), mask, begin=crf.begin, inside=crf.inside)
    marginals, result = crf.label_probabilities(emissions, mask), crf.span_probabilities(emissions, mask, spans)
    assert (spans.end - spans.start).max() >= 200
    for row, length in enumerate(lengths):
        wide = emissions[row, :length].double().requires_grad_()
        total = log_partition(crf, wide)
        (expected,) = torch.autograd.grad(total, wide)  # the marginals are the gradient of log Z
        torch.testing.assert_close(marginals[row, :length].double(), expected, atol=2e-5, rtol=0)
        for column in range(0, int(spans.mask[row].sum()), 4):
            start, end, kind = (int(field[row, column]) for field in (spans.start, spans.end, spans.type))
            only = torch.full_like(wide, -torch.inf)
            only[:start] = only[end:] = 0.0
            only[start, crf.begin[kind]] = 0.0
            only[start + 1 : end, crf.inside[kind]] = 0.0
            only[end : end + 1, crf.inside[kind]] = -torch.inf
            probability = (log_partition(crf, wide.detach() + only) - total).exp().item()
            assert result[row, column].item() == pytest.approx(probability, abs=2e-5)


def test_loss_equals_pytorch_crf_with_the_same_parameters():
    crf = make_crf(TWO_TYPES)
    emissions, mask = make_batch(TWO_TYPES)
    reference = torchcrf.CRF(len(TWO_TYPES), batch_first=True)
    reference.load_state_dict({name.removeprefix("crf."): value for name, value in crf.state_dict().items()})
    with torch.no_grad():
        for before, label in enumerate(TWO_TYPES):
            for after, successor in enumerate(TWO_TYPES):
                if not is_legal([label.replace("I", "B", 1), successor]):
                    reference.transitions[before, after] = -1e4
            if label.startswith("I"):
                reference.start_transitions[before] = -1e4
    tags = crf.decode(emissions, mask)
    expected = -reference(emissions, tags, mask, reduction="none")
    torch.testing.assert_close(crf.loss(emissions, tags, mask), expected)


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.0, 1.0, 100.0, 1e5]),
    lengths=st.lists(st.integers(1, 15), min_size=1, max_size=4),
    labels=st.sampled_from([ONE_TYPE, TWO_TYPES, ["B-é-ü x", "O", "I-é-ü x"], ["O"]]),
)
def test_illegal_bio_never_comes_out(seed, scale, lengths, labels):
    crf = make_crf(labels, seed)
    emissions, mask = make_batch(labels, lengths)
    decoded = crf.decode(scale * emissions, mask)
    for row, length in enumerate(lengths):
        assert is_legal([labels[i] for i in decoded[row, :length].tolist()])
    spans = bio_spans(decoded, mask, begin=crf.begin, inside=crf.inside)
    scores = crf.span_probabilities(scale * emissions, mask, spans)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert crf.loss(scale * emissions, decoded, mask).isfinite().all()


def test_other_sentences_and_padding_do_not_matter():
    crf = make_crf(TWO_TYPES)
    emissions, mask = make_batch(TWO_TYPES)
    emissions[~mask] = math.nan
    tags = crf.decode(emissions, mask)
    spans = bio_spans(tags, mask, begin=crf.begin, inside=crf.inside)
    losses, marginals = crf.loss(emissions, tags, mask), crf.label_probabilities(emissions, mask)
    scores = crf.span_probabilities(emissions, mask, spans)
    for row, length in enumerate(LENGTHS):
        alone, words = emissions[row : row + 1, :length], mask[row : row + 1, :length]
        assert torch.equal(crf.decode(alone, words)[0], tags[row, :length])
        own = bio_spans(tags[row : row + 1, :length], words, begin=crf.begin, inside=crf.inside)
        close = {"atol": 1e-5, "rtol": 1e-5}
        torch.testing.assert_close(crf.loss(alone, tags[row : row + 1, :length], words)[0], losses[row], **close)
        torch.testing.assert_close(crf.label_probabilities(alone, words)[0], marginals[row, :length], **close)
        torch.testing.assert_close(crf.span_probabilities(alone, words, own)[0], scores[row, spans.mask[row]], **close)


def test_gradients_are_finite_and_reach_every_legal_parameter():
    crf = make_crf(TWO_TYPES)
    emissions, mask = make_batch(TWO_TYPES)
    emissions[~mask] = math.nan
    emissions.requires_grad_()
    tags = torch.full(mask.shape, TWO_TYPES.index("O"))
    crf.loss(emissions, tags, mask).sum().backward()
    assert (emissions.grad[~mask] == 0).all()
    for gradient in (emissions.grad, *(parameter.grad for parameter in crf.parameters())):
        assert gradient.isfinite().all()
    illegal = crf._illegal
    assert (crf.crf.transitions.grad[illegal] == 0).all()
    assert (crf.crf.transitions.grad[~illegal] != 0).all()


@LABEL_SETS
@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_a_temperature_divides_the_scores_in_posteriors_and_nowhere_else(labels, temperature):
    crf = make_crf(labels)
    emissions, mask = make_batch(labels)
    tags = crf.decode(emissions, mask)
    loss = crf.loss(emissions, tags, mask)
    divided = make_crf(labels)
    with torch.no_grad():
        for parameter in divided.parameters():
            parameter /= temperature
    crf.temperature = temperature
    expected = divided.label_probabilities(emissions / temperature, mask)
    torch.testing.assert_close(crf.label_probabilities(emissions, mask), expected)
    spans = bio_spans(tags, mask, begin=crf.begin, inside=crf.inside)
    expected = divided.span_probabilities(emissions / temperature, mask, spans)
    torch.testing.assert_close(crf.span_probabilities(emissions, mask, spans), expected)
    assert torch.equal(crf.decode(emissions, mask), tags)
    assert torch.equal(crf.loss(emissions, tags, mask), loss)


@pytest.mark.parametrize("too_sure", [0.6, 1.0, 2.0])
def test_the_number_that_scores_were_multiplied_by_is_found(too_sure):
    """Tags are drawn from the CRF's own distribution, by brute force; then its scores are multiplied."""
    crf = make_crf(ONE_TYPE)
    emissions, mask = make_batch(ONE_TYPE, lengths=[4] * 1_000)
    drawn = []
    for sentence in emissions:
        found = probabilities(crf, ONE_TYPE, sentence)
        drawn.append(list(found)[torch.multinomial(torch.tensor(list(found.values())), 1).item()])
    tags = torch.tensor(drawn)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter *= too_sure
    parts = (slice(100), slice(100, None))
    crf.fit_temperature([(too_sure * emissions[part], tags[part], mask[part]) for part in parts])
    assert crf.temperature == pytest.approx(too_sure, rel=0.15)


def test_a_temperature_stays_within_bounds():
    crf = make_crf(ONE_TYPE)
    emissions, mask = make_batch(ONE_TYPE)
    crf.fit_temperature([(emissions, crf.decode(emissions, mask), mask)])
    assert crf.temperature == pytest.approx(0.25, rel=0.01)


def test_autocast_does_not_reach_the_chain():
    crf = make_crf(TWO_TYPES)
    emissions, mask = make_batch(TWO_TYPES)
    emissions = emissions.bfloat16()
    tags = crf.decode(emissions.float(), mask)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(crf.decode(emissions, mask), tags)
        assert torch.equal(crf.loss(emissions, tags, mask), crf.loss(emissions.float(), tags, mask))
        marginals = crf.label_probabilities(emissions, mask)
    assert torch.equal(marginals, crf.label_probabilities(emissions.float(), mask))
    assert marginals.dtype == torch.float32


def test_labels_keep_their_dashes_and_survive_pickling():
    crf = pickle.loads(pickle.dumps(LinearChainCRF(["B-a-b", "O", "B-c d", "I-c d", "I-a-b"])))
    assert crf.types == ("a-b", "c d")
    assert (crf.outside, crf.begin.tolist(), crf.inside.tolist()) == (1, [0, 2], [4, 3])
    assert set(crf.state_dict()) == {"crf.transitions", "crf.start_transitions", "crf.end_transitions"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["B", "I"], 'need "O"'),
        (["O", "B-PER"], '"I" is missing for .*PER'),
        (["O", "I-PER"], '"B" is missing for .*PER'),
        (["O", "B-PER", "I-PER", "B-PER"], '"B-PER" is given twice'),
        (["O", "S-PER"], '"S-PER" is not a BIO2 label'),
        (["O", "B-", "I-"], '"B-" is not a BIO2 label'),
        (["O", "PER"], '"PER" is not a BIO2 label'),
    ],
)
def test_other_label_sets_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        LinearChainCRF(labels)


@LABEL_SETS
def test_marginals_are_label_probabilities_with_gradients_and_without_the_temperature(labels):
    crf, (emissions, mask) = make_crf(labels).double(), make_batch(labels)
    emissions = emissions.double().requires_grad_()
    expected = crf.label_probabilities(emissions, mask)
    crf.temperature = 3.0
    marginals = crf.marginals(emissions, mask)
    torch.testing.assert_close(marginals, expected)
    weights = torch.randn_like(marginals)
    (gradient,) = torch.autograd.grad((weights * marginals).sum(), [emissions], retain_graph=True)
    assert gradient[mask].abs().sum() > 0
    assert not gradient[~mask].any()
    step = 1e-2 * torch.randn_like(emissions)
    ahead, behind = (crf.marginals(emissions + sign * step, mask) for sign in (1, -1))
    difference = (weights * (ahead - behind)).sum() / 2
    torch.testing.assert_close((gradient * step).sum().float(), difference.float(), rtol=2e-2, atol=1e-4)
    of_parameters = torch.autograd.grad((weights * marginals).sum(), list(crf.parameters()))
    assert all(one.isfinite().all() for one in of_parameters)
