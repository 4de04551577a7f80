"""Spatial relations against what two boxes say in words, and the nodes of a graph one by one."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.nn.layers.scene_graph import RELATIONS, SceneGraph, spatial_relations

EDGES = st.lists(st.integers(0, 8), min_size=2, max_size=2, unique=True).map(sorted)
BOXES = st.tuples(EDGES, EDGES).map(lambda edges: (edges[0][0], edges[1][0], edges[0][1], edges[1][1]))
OPPOSITES = {"left of": "right of", "above": "below", "inside": "around"}


def in_words(first: tuple[int, ...], second: tuple[int, ...]) -> str:
    left, top, right, bottom = first
    if second[0] <= left and second[1] <= top and right <= second[2] and bottom <= second[3]:
        return "inside"
    if left <= second[0] and top <= second[1] and second[2] <= right and second[3] <= bottom:
        return "around"
    across, down = left + right - second[0] - second[2], top + bottom - second[1] - second[3]
    if abs(across) >= abs(down):
        return "right of" if across > 0 else "left of"
    return "below" if down > 0 else "above"


@given(st.lists(BOXES, min_size=2, max_size=4))
def test_relations_are_what_one_says_of_two_boxes(boxes: list[tuple[int, ...]]) -> None:
    relations = spatial_relations(torch.tensor([boxes]).float())[0]
    for i, first in enumerate(boxes):
        for j, second in enumerate(boxes):
            said = RELATIONS[relations[i, j]]
            assert said == in_words(first, second)
            middles = [(box[0] + box[2], box[1] + box[3]) for box in (first, second)]
            if first != second and middles[0] != middles[1]:
                other = RELATIONS[relations[j, i]]
                assert OPPOSITES.get(said, other) == other


def test_nodes_are_objects_and_triples() -> None:
    graph = SceneGraph(4, 6)
    labels, boxes = torch.tensor([[1, 3, 0], [2, 0, 0]]), torch.rand(2, 3, 4)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    nodes, exist = graph(labels, boxes, mask)
    relations = spatial_relations(boxes)
    assert exist.sum(dim=1).tolist() == [2 + 2, 1]
    torch.testing.assert_close(nodes[:, :3], graph.labels.weight[labels])
    for i, j in ((0, 1), (1, 0)):
        place = 3 + 3 * i + j
        assert exist[0, place]
        subject, other = graph.labels.weight[labels[0, i]], graph.labels.weight[labels[0, j]]
        relation = graph.relations.weight[relations[0, i, j]]
        linear = graph.subject.weight @ subject + relation + graph.object.weight @ other + graph.object.bias
        torch.testing.assert_close(nodes[0, place], torch.tanh(linear))


def test_without_objects_there_is_nothing() -> None:
    nodes, exist = SceneGraph(2, 6)(torch.zeros(2, 0).long(), torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.bool))
    assert nodes.shape == (2, 0, 6)
    assert exist.shape == (2, 0)
