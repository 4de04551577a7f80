"""The grounding head against its formulas written out, and against pictures whose objects it can learn to find."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from flair_espvr.nn import Spans
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.grounding.calibration import GroundingCalibration, Platt
from flair_espvr.nn.grounding.head import GroundingHead
from flair_espvr.nn.grounding.tensors import GoldRegions, Mentions

GRID = (4, 5)
REGIONS = 20


def head() -> GroundingHead:
    return GroundingHead(word_size=6, region_size=7, labels=3).eval()


def batch(posts: int = 3, entities: int = 2, *, own_map: bool = True) -> tuple[Mentions, ImageFeatures]:
    mentions = Mentions(
        torch.randn(posts, entities, 6),
        torch.rand(posts, entities, 3),
        torch.randn(posts, entities, REGIONS) if own_map else None,
    )
    present = torch.arange(posts) != 1
    features = torch.randn(posts, REGIONS, 7) * present[:, None, None]
    return mentions, ImageFeatures(features, torch.randn(posts, 7), present, GRID, count=posts - 1)


def gold(posts: int = 3, entities: int = 2, boxes: int = 2) -> GoldRegions:
    """Entity 0 of each post is shown in two places, entity 1 is not shown; post 2 has entity 0 only."""
    corners = torch.rand(posts, entities, boxes, 2, 2).sort(dim=3).values.flatten(3)
    mask = torch.zeros(posts, entities, boxes, dtype=torch.bool)
    mask[:, 0] = True
    exists = torch.ones(posts, entities, dtype=torch.bool)
    exists[2, 1] = False
    index = torch.zeros(posts, entities, dtype=torch.long)
    return GoldRegions(Spans(index, index + 1, index, exists), corners, mask)


def covered(box: Tensor, row: int, column: int) -> float:
    """The share of a cell that a box covers."""
    (left, top, right, bottom), (rows, columns) = box.tolist(), GRID
    width = min(right, (column + 1) / columns) - max(left, column / columns)
    height = min(bottom, (row + 1) / rows) - max(top, row / rows)
    return max(width, 0) * max(height, 0) * rows * columns


def normed(vector: Tensor) -> Tensor:
    return vector / (vector.square().mean().sqrt() + 1e-6)


def test_relevance_and_losses_are_the_printed_ones() -> None:
    grounding, (mentions, images), known = head(), batch(), gold(boxes=1)
    assert mentions.own_map is not None
    with torch.no_grad():
        grounding.own_share.fill_(0.3)
    losses = grounding.losses(mentions, images, known)
    cells, presence = torch.zeros(3), torch.zeros(3)
    for post in (0, 2):  # post 1 has no image
        for entity in range(2 - (post == 2)):
            query = grounding.query(grounding.entity_norm(mentions.features[post, entity]))
            query = query + grounding.type_query.weight @ mentions.types[post, entity]
            logits = []
            for region in range(REGIONS):
                vector = normed(images.regions[post, region])
                key = grounding.key(vector)
                logits.append(query @ key / math.sqrt(256) + 0.3 * mentions.own_map[post, entity, region])
            z = torch.stack(logits)
            torch.testing.assert_close(grounding.relevance(mentions, images.regions)[post, entity], z)
            target = [covered(known.boxes[post, 0, 0], *divmod(region, GRID[1])) for region in range(REGIONS)]
            cells[post] += binary_cross_entropy_with_logits(z, torch.tensor(target) * (entity == 0))
            region = normed(images.regions[post, z.argmax()])
            evidence = torch.stack([z.max(), z.exp().mean().log()])
            seen = [grounding.entity_norm(mentions.features[post, entity]), region, evidence]
            logit = grounding.presence(torch.cat([*seen, mentions.types[post, entity]]))
            presence[post] += binary_cross_entropy_with_logits(logit, torch.tensor([float(entity == 0)]))
    torch.testing.assert_close(losses["regions"], cells)
    torch.testing.assert_close(losses["presence"], presence)


def test_gradients_stay_in_the_head_and_reach_all_of_it() -> None:
    grounding, (mentions, images) = head(), batch()
    sum(term.sum() for term in grounding.losses(mentions, images, gold()).values()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in grounding.parameters())


def objects(posts: int, *, shown: bool = True) -> tuple[Mentions, ImageFeatures, GoldRegions]:
    """Pictures of noise with a patch that bears the entity's own vector, or another's."""
    torch.manual_seed(3)
    kinds = torch.nn.functional.one_hot(torch.randint(0, 3, (posts,)), 6).float()
    rows, columns = GRID
    regions = 0.3 * torch.randn(posts, rows, columns, 7)
    boxes = torch.zeros(posts, 1, 1, 4)
    for post in range(posts):
        top, left = int(torch.randint(0, 3, ())), int(torch.randint(0, 3, ()))
        regions[post, top : top + 2, left : left + 3, :6] += 3 * (kinds[post] if shown else kinds[post].roll(3))
        boxes[post] = torch.tensor([left / columns, top / rows, (left + 3) / columns, (top + 2) / rows])
    mentions = Mentions(kinds.unsqueeze(1), torch.ones(posts, 1, 3) / 3)
    present = torch.ones(posts, dtype=torch.bool)
    images = ImageFeatures(regions.flatten(1, 2), regions.mean(dim=(1, 2)), present, GRID, count=posts)
    index = torch.zeros(posts, 1, dtype=torch.long)
    mask = torch.full((posts, 1, 1), shown)
    return mentions, images, GoldRegions(Spans(index, index + 1, index, index == 0), boxes, mask)


def test_it_learns_where_things_are_and_whether_they_are() -> None:
    grounding = head().train()
    batches = [objects(40), objects(40, shown=False)]
    optimized = torch.optim.Adam(grounding.parameters(), lr=1e-2)
    for _ in range(60):
        for mentions, images, known in batches:
            optimized.zero_grad()
            sum(term.mean() for term in grounding.losses(mentions, images, known).values()).backward()
            optimized.step()
    grounding.eval()
    found, missed = (grounding.answer(mentions, images) for mentions, images, _ in batches)
    assert found is not None
    assert missed is not None
    right = (found.places - batches[0][2].boxes[:, :, 0]).abs().amax(dim=2) < 0.1  # half a cell
    assert right.float().mean() > 0.9
    assert found.shown.all()
    assert not missed.shown.any()
    assert (missed.grounded < 0.5).all()
    assert float(found.score.min()) > float(missed.score.max())


def test_a_head_without_boxes_reads_the_networks_own_map_and_has_nothing_else() -> None:
    grounding, (mentions, images) = head(), batch()
    assert grounding.answer(replace(mentions, own_map=None), images) is None
    peak = torch.full((3, 2, 4, 5), -9.0)
    peak[:, :, 1:3, 2:4] = 2.0
    answer = grounding.answer(replace(mentions, own_map=peak.flatten(2)), images)
    assert answer is not None
    assert answer.places[0, 0].tolist() == pytest.approx([2 / 5, 1 / 4, 4 / 5, 3 / 4])
    assert answer.shown.all()
    assert answer.grounded.isnan().all()
    torch.testing.assert_close(answer.score, torch.ones(3, 2), atol=1e-3, rtol=0)


def test_the_state_says_what_was_learned_and_files_of_before_load() -> None:
    trained, fresh = head().train(), head()
    trained.losses(*batch(), gold())
    assert trained.learned
    trained.calibration = GroundingCalibration(0.5, 0.3, Platt(2.0, -1.0), Platt(0.5, 0.25), tells_presence=True)
    fresh.load_state_dict(trained.state_dict())
    assert (fresh.learned, fresh.calibration) == (True, trained.calibration)
    before = {name: value.clone() for name, value in fresh.named_parameters()}
    torch.nn.ModuleDict({"head": fresh}).load_state_dict({})
    assert all(torch.equal(before[name], value) for name, value in fresh.named_parameters())
    with pytest.raises(RuntimeError, match="Missing key"):
        fresh.load_state_dict({"query.bias": trained.query.bias})


@pytest.mark.parametrize(
    "numbers",
    [{"offset": math.nan}, {"offset": 1e3}, {"threshold": 1.1}, {"grounded": Platt(0.0)}, {"region": Platt(1, 200)}],
)
def test_other_numbers_are_refused(numbers: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="numbers should be"):
        GroundingCalibration(**numbers)  # type: ignore[arg-type]


def test_an_evaluation_is_no_learning() -> None:
    grounding = head()
    grounding.losses(*batch(), gold())
    assert not grounding.learned


def test_a_post_is_answered_as_it_is_alone() -> None:
    grounding, (mentions, images) = head(), batch()
    grounding.learned = True
    together = grounding.answer(mentions, images)
    alone = grounding.answer(
        Mentions(*(field[2:] for field in vars(mentions).values())),
        ImageFeatures(images.regions[2:], images.pooled[2:], images.present[2:], GRID, count=1),
    )
    assert together is not None
    assert alone is not None
    for name, field in vars(alone).items():
        torch.testing.assert_close(field, vars(together)[name][2:], msg=name)
