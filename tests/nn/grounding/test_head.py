"""The grounding head against its formulas written out, and against pictures whose objects it can learn to find."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, gelu, softplus

from flair_espvr.nn import Spans
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.grounding.calibration import GroundingCalibration, Platt
from flair_espvr.nn.grounding.head import GroundingHead, Learned
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


def seen_cells(grounding: GroundingHead, regions: Tensor) -> list[Tensor]:
    """h of each region of one image, cell by cell and neighbour by neighbour."""
    cells = grounding.cells
    alone = [gelu(cells.project(normed(region))) for region in regions]
    seen = []
    for region in range(REGIONS):
        row, column = divmod(region, GRID[1])
        around = cells.around.bias
        for down, right in product((-1, 0, 1), repeat=2):
            if 0 <= row + down < GRID[0] and 0 <= column + right < GRID[1]:
                neighbour = alone[(row + down) * GRID[1] + column + right]
                around = around + cells.around.weight[:, 0, down + 1, right + 1] * neighbour
        seen.append(alone[region] + cells.mix(gelu(around)))
    return seen


def test_relevance_and_losses_are_the_printed_ones() -> None:
    grounding, (mentions, images), known = head(), batch(), gold(boxes=1)
    losses = grounding.losses(mentions, images, known)
    cells, presence = torch.zeros(3), torch.zeros(3)
    for post in (0, 2):  # post 1 has no image
        for entity in range(2 - (post == 2)):
            query = grounding.query(grounding.entity_norm(mentions.features[post, entity]))
            query = query + grounding.type_query.weight @ mentions.types[post, entity]
            logits = []
            for cell in seen_cells(grounding, images.regions[post]):
                logits.append(query @ cell / math.sqrt(64))
            z = torch.stack(logits)
            torch.testing.assert_close(grounding.relevance(mentions, images)[post, entity], z)
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


def test_some_entities_have_to_do_without_their_words_in_training_alone() -> None:
    grounding, (mentions, images) = head(), batch(own_map=False)
    known = gold()
    lost = replace(mentions, features=torch.zeros_like(mentions.features))
    as_they_are, without = (grounding.losses(read, images, known)["regions"][0] for read in (mentions, lost))
    assert as_they_are != without
    grounding.train()
    grounding.dropout.p = 0.0
    seen = {float(grounding.losses(mentions, images, known)["regions"][0].detach()) for _ in range(40)}
    assert len(seen) == 4  # two entities, each with or without
    assert min(abs(float(as_they_are.detach()) - value) for value in seen) < 1e-5
    assert min(abs(float(without.detach()) - value) for value in seen) < 1e-5


def test_contrast_is_the_printed_one() -> None:
    grounding, (mentions, images) = head(), batch(posts=4)
    types = torch.tensor([[0, 1], [0, 0], [1, 2], [2, 0]])
    exists = torch.tensor([[True, True], [True, True], [True, False], [True, False]])
    entities = Spans(torch.zeros_like(types), torch.ones_like(types), types, exists)

    def shown(post: int, entity: int, other: int) -> Tensor:
        query = grounding.query(grounding.entity_norm(mentions.features[post, entity]))
        query = query + grounding.type_query.weight @ mentions.types[post, entity]
        cells = torch.stack(seen_cells(grounding, images.regions[other]))
        return (cells @ query / math.sqrt(64)).exp().mean().log()

    expected = torch.zeros(4)
    pictured = [post for post in range(4) if images.present[post]]
    assert pictured == [0, 2, 3]
    for post in pictured:
        for entity in range(2):
            if not exists[post, entity]:
                continue
            own = types[post, entity]
            others = [p for p in pictured if not (types[p][exists[p]] == own).any()]
            expected[post] += softplus(-shown(post, entity, post))
            expected[post] += sum(softplus(shown(post, entity, p)) for p in others) / len(others)
    torch.testing.assert_close(grounding.contrast(mentions, images, entities), expected)
    assert grounding.learned is Learned.NOTHING  # an evaluation is no learning


def test_contrast_tells_what_is_shown_and_where_without_a_box() -> None:
    grounding = head().train()
    optimized = torch.optim.Adam(grounding.parameters(), lr=1e-2)
    mentions, images, known = objects(60)
    kinds = mentions.features[:, 0].argmax(dim=1, keepdim=True)
    entities = replace(known.spans, type=kinds)
    for _ in range(80):
        optimized.zero_grad()
        grounding.contrast(mentions, images, entities).mean().backward()
        optimized.step()
    grounding.eval()
    assert grounding.learned is Learned.CONTRAST
    there, elsewhere = (grounding.answer(*objects(60, shown=shown)[:2]) for shown in (True, False))
    assert there is not None
    assert elsewhere is not None
    assert float(there.grounded.mean()) > 0.9
    assert float(elsewhere.grounded.mean()) < 0.1
    boxes = known.boxes[:, :, 0]
    middle = (there.places[..., :2] + there.places[..., 2:]) / 2
    assert ((middle > boxes[..., :2]) & (middle < boxes[..., 2:])).all(dim=2).float().mean() > 0.9


def test_boxes_teach_more_than_contrast() -> None:
    grounding, (mentions, images), known = head().train(), batch(), gold()
    grounding.contrast(mentions, images, known.spans)
    grounding.calibration = GroundingCalibration(0.5)
    grounding.losses(mentions, images, known)
    assert (grounding.learned, grounding.calibration) == (Learned.BOXES, GroundingCalibration())
    grounding.calibration = GroundingCalibration(0.25)
    grounding.contrast(mentions, images, known.spans)
    assert (grounding.learned, grounding.calibration) == (Learned.BOXES, GroundingCalibration(0.25))


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
    assert (fresh.learned, fresh.calibration) == (Learned.BOXES, trained.calibration)
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
    grounding.learned = Learned.BOXES
    together = grounding.answer(mentions, images)
    alone = grounding.answer(
        Mentions(*(field[2:] for field in vars(mentions).values())),
        ImageFeatures(images.regions[2:], images.pooled[2:], images.present[2:], GRID, count=1),
    )
    assert together is not None
    assert alone is not None
    for name, field in vars(alone).items():
        torch.testing.assert_close(field, vars(together)[name][2:], msg=name)


SLOTS = torch.tensor([[True, False, True], [False, False, False], [False, True, True]])


def several(own_map: bool) -> tuple[Mentions, ImageFeatures]:
    """Three posts with up to three images, the second without any."""
    mentions, _ = batch(own_map=False)
    regions = torch.randn(3, 3 * REGIONS, 7) * SLOTS.repeat_interleave(REGIONS, dim=1).unsqueeze(2)
    present = SLOTS.any(dim=1)
    images = ImageFeatures(regions, torch.randn(3, 7), present, GRID, count=2, several=SLOTS)
    return replace(mentions, own_map=torch.randn(3, 2, 3 * REGIONS) if own_map else None), images


def of_image(mentions: Mentions, images: ImageFeatures, image: int) -> tuple[Mentions, ImageFeatures]:
    """The same posts with one of their images alone."""
    cells = slice(image * REGIONS, (image + 1) * REGIONS)
    own = None if mentions.own_map is None else mentions.own_map[..., cells]
    alone = ImageFeatures(images.regions[:, cells], images.pooled, SLOTS[:, image], GRID, count=2)
    return replace(mentions, own_map=own), alone


@pytest.mark.parametrize("learned", [True, False])
def test_of_several_images_each_is_read_by_itself_and_the_best_is_the_answer(*, learned: bool) -> None:
    grounding, (mentions, images) = head(), several(own_map=True)
    grounding.learned = Learned.BOXES if learned else Learned.NOTHING
    assert mentions.own_map is not None
    together = grounding.answer(mentions, images)
    alone = [grounding.answer(*of_image(mentions, images, image)) for image in range(3)]
    assert together is not None
    weights = mentions.own_map.exp()  # the share of an image in the attention to all of them
    for post in (0, 2):
        there = [image for image in range(3) if SLOTS[post, image]]
        for entity in range(2):
            found = {image: answer for image in there if (answer := alone[image]) is not None}
            shares = weights[post, entity].view(3, REGIONS).sum(dim=1)
            chances = {
                image: float(answer.score[post, entity] * (1 if learned else shares[image]))
                for image, answer in found.items()
            }
            best = max(there, key=chances.__getitem__)
            assert int(together.image[post, entity]) == best
            for name in ("places", "score", "score_logit"):
                torch.testing.assert_close(vars(together)[name][post, entity], vars(found[best])[name][post, entity])
            if learned:
                most = max(float(answer.grounded[post, entity]) for answer in found.values())
                assert float(together.grounded[post, entity]) == pytest.approx(most, abs=1e-5)
            for image in range(3):
                cells = together.relevance[post, entity, image]
                if image in there:
                    torch.testing.assert_close(cells, found[image].relevance[post, entity])
                else:
                    assert cells.isnan().all()


def test_losses_of_several_images_are_means_of_those_of_each() -> None:
    grounding, (mentions, images), known = head(), several(own_map=True), gold()
    on = torch.tensor([[[0, 2], [0, 0]], [[0, 1], [0, 0]], [[1, 0], [0, 0]]])  # one of post 2 is on an absent image
    losses = grounding.losses(mentions, images, replace(known, images=on))
    for name in ("regions", "presence"):
        for post in (0, 2):
            terms = []
            for image in (image for image in range(3) if SLOTS[post, image]):
                there = replace(known, mask=known.mask & (on == image))
                terms.append(grounding.losses(*of_image(mentions, images, image), there)[name][post])
            torch.testing.assert_close(losses[name][post], torch.stack(terms).mean())
        assert losses[name][1] == 0


def test_an_entity_that_is_on_an_unreadable_image_alone_is_unknown() -> None:
    known = replace(gold(), images=torch.full((3, 2, 2), 1))
    assert known.known(SLOTS).tolist() == [[False, True], [False, False], [True, False]]
