"""How far a field's logits are from the occupancy asked for (requirement A1.3)."""

from __future__ import annotations

from monai.losses import DiceCELoss, DiceFocalLoss
from torch import nn

from ..errors import InputError

LOSSES = ("bce", "dice_focal", "bce_dice")


def occupancy_loss(name: str) -> nn.Module:
    """A loss on logits and soft occupancies, both [batch, 1, n].

    Args:
        name: ``bce``, the binary cross entropy; or ``dice_focal``, the enhanced loss 0.7 Dice + 0.3 focal (gamma 4),
            Dice taken per case; or ``bce_dice``, the sum of cross entropy and Dice, which follows thin vessels closest.
    """
    if name == "bce":
        return nn.BCEWithLogitsLoss()
    if name == "dice_focal":
        return DiceFocalLoss(sigmoid=True, gamma=4.0, lambda_dice=0.7, lambda_focal=0.3)
    if name == "bce_dice":
        return DiceCELoss(sigmoid=True)
    raise InputError("loss", repr(name), f"one of {', '.join(LOSSES)}", "Choose one of them.")
