"""Words and regions into one representation per word (paper 3.4, Multimodal Interaction)."""

import torch
from torch import Tensor

from flair_espvr.nn.layers.cross_modal import CrossModalLayer


def select_regions(regions: Tensor, mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Keep only the masked-in regions of each row, so that fusion does no work for the rest of the grid.

    Args:
        regions: (B, R, D).
        mask: Regions to keep, (B, R) bool.
        count: Columns V of the result: no row may keep more. For windows their area, see `window_size`; known
            beforehand, it spares waiting for the device.

    Returns:
        The regions (B, V, D), kept ones first and in order, and their mask (B, V).
    """
    order = mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.take_along_dim(regions, order.unsqueeze(-1), dim=1), mask.gather(1, order)


class CrossModalPaths(torch.nn.Module):
    """Words to regions on two paths: directly, and over regions that have asked the words before (Yu et al., 2020).

    P = CMT(v, T) and A = CMT(T, P) are the image-aware words, Q = CMT(T, v) the word-aware regions.

    Args:
        hidden_size: Size D of words and regions.
        num_heads: Attention heads of each layer; must divide `hidden_size`.
        dropout: Probability of dropout in the layers.
    """

    def __init__(self, hidden_size: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.regions_to_words = CrossModalLayer(hidden_size, num_heads, dropout)
        self.words_to_image_aware = CrossModalLayer(hidden_size, num_heads, dropout)
        self.words_to_regions = CrossModalLayer(hidden_size, num_heads, dropout)

    def attend(
        self, text: Tensor, text_mask: Tensor, regions: Tensor, region_mask: Tensor, asking_regions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Go both paths.

        Args:
            text: Words T, (B, T, D).
            text_mask: (B, T) bool.
            regions: Regions v that words ask, (B, R, D); R may be 0.
            region_mask: Regions to attend to, (B, R) bool.
            asking_regions: Regions as they ask the words in P = CMT(v, T), (B, R, D).

        Returns:
            A and Q, (B, T, D) each.
        """
        text_aware = self.regions_to_words(asking_regions, text, text_mask)  # P (B, R, D)
        image_aware = self.words_to_image_aware(text, text_aware, region_mask)  # A (B, T, D)
        return image_aware, self.words_to_regions(text, regions, region_mask)


class GatedFusion(CrossModalPaths):
    """Both cross-modal paths, and a gate on the direct one (Eqs. 7-8).

    g = sigmoid(W_a A + W_q Q), and the result is H = [A ; g * Q]. A row without regions gives what the text alone
    gives.

    Args:
        hidden_size: Size D of words and regions.
        num_heads: Attention heads of each layer; must divide `hidden_size`.
        dropout: Probability of dropout in the layers.
        gate_bias: Add a bias in the gate.
    """

    def __init__(self, hidden_size: int, num_heads: int, dropout: float, *, gate_bias: bool = False) -> None:
        super().__init__(hidden_size, num_heads, dropout)
        self.image_aware_gate = torch.nn.Linear(hidden_size, hidden_size, bias=gate_bias)
        self.word_aware_gate = torch.nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self,
        text: Tensor,
        text_mask: Tensor,
        regions: Tensor,
        region_mask: Tensor,
        *,
        asking_regions: Tensor | None = None,
    ) -> Tensor:
        """Fuse words with regions.

        Args:
            text: Words T, (B, T, D).
            text_mask: (B, T) bool.
            regions: Regions v, (B, R, D); R may be 0.
            region_mask: Regions to attend to, (B, R) bool; all False where there is nothing to see.
            asking_regions: Regions as they ask the words in P = CMT(v, T), (B, R, D); by default the same regions.

        Returns:
            H, (B, T, 2 * D).
        """
        asking = regions if asking_regions is None else asking_regions
        image_aware, word_aware = self.attend(text, text_mask, regions, region_mask, asking)  # A, Q (B, T, D)
        gate = torch.sigmoid(self.image_aware_gate(image_aware) + self.word_aware_gate(word_aware))
        return torch.cat([image_aware, gate * word_aware], dim=-1)
