"""Says what a file of weights holds if it does not hold a network of pix2pix."""

import re
from collections.abc import Mapping
from typing import Any

# The networks of other programs, by a pattern that the names of their tensors match. The first
# pattern that matches decides.
NETWORKS = (
    (r"lora_(a|b|up|down)\b|\.lora\.", "LoRA weights of a diffusion model"),
    (r"control_model\.|zero_convs|controlnet|input_hint_block", "a ControlNet"),
    (r"diffusion_model\.|input_blocks\.\d|(down|up)_blocks\.\d|mid_block\.|time_embed",
     "the U-Net of a diffusion model"),
    (r"first_stage_model|(post_)?quant_conv|encoder\.down\.\d",
     "the autoencoder of a diffusion model"),
    (r"synthesis\.|mapping\.fc|to_?rgbs?\d*\.|style\.\d+\.(weight|bias)", "a StyleGAN"),
    (r"mlp_(shared|gamma|beta)", "a SPADE (GauGAN) generator"),
    (r"(^|\.)scale\d+_layer\d|discriminator_\d+\.", "a multi-scale discriminator of pix2pixHD"),
    (r"(^|\.)model\d+_\d\.", "a generator of pix2pixHD (netG local)"),
    (r"weight_bar$", "a network with a spectral norm that is computed at every call (weight_bar)"),
    (r"segmentation_head|double_conv|maxpool_conv|(^|\.)outc\.", "a U-Net for segmentation"),
    (r"(^|\.)layer[1-4]\.\d+\.(conv|bn)\d", "a ResNet classifier"),
    (r"(^|\.)features\.\d+\.(weight|bias)", "a VGG classifier"),
    (r"(^|\.)(attn|attention|self_attn|qkv)\w*\.", "a transformer"),
    (r"(^|\.)(initial_down|final_up|(down|up)\d+|(encoder|decoder|enc|dec)\d*|downs|ups)\.",
     "an encoder and a decoder of another program"),
)  # fmt: skip
RESNET_BLOCK = re.compile(r"(?:^|\.)(\d+)\.conv_block\.")
FIRST_RESNET_BLOCK = 10  # the place of the first block in a ResNet generator of the PyTorch code
PARTS_OF_UNET = "parts of a U-Net"
# Patterns for pix2pix's own networks: an incomplete U-Net, or a discriminator in place of a
# generator.
PIX2PIX_NETWORKS = (
    (r"(^|\.)model\.model\.\d", PARTS_OF_UNET),
    (r"(^|\.)(model|net)\.0\.", "a discriminator"),
)
FIX = (
    "give the latest_net_{letter}.pth of a pix2pix model of pytorch-CycleGAN-and-pix2pix, or a "
    "safetensors file of `pix2pix export`; weights of other networks cannot be used here"
)


def describe_network(state_dicts: Mapping[str, Mapping[str, Any]], network: str) -> tuple[str, str]:
    """Says what the state dicts of a file hold instead of a network, and what to do.

    Args:
      state_dicts: the tensors by name, by the place of their state dict in the file.
      network: "generator" or "discriminator".
    """
    names = [name for tensors in state_dicts.values() for name in tensors]
    known = "a whole U-Net" if network == "generator" else "a discriminator"
    found = describe_names(names)
    if found == PARTS_OF_UNET and network == "discriminator":
        found = "a U-Net"
    problem = f"contains {found}, not {known} of the authors' PyTorch code"
    return problem, FIX.format(letter="G" if network == "generator" else "D")


def describe_names(names: list[str]) -> str:
    """Says what tensors with these names seem to be."""
    if blocks := {int(match[1]) for name in names if (match := RESNET_BLOCK.search(name))}:
        # Before the first block, pix2pixHD halves the image four times, the PyTorch code twice.
        if min(blocks) > FIRST_RESNET_BLOCK:
            return "a ResNet generator of pix2pixHD (netG global)"
        return (
            f"a ResNet generator (netG resnet_{len(blocks)}blocks) of pytorch-CycleGAN-and-pix2pix"
        )
    # The first names of a large network tell as much as all of them.
    lines = "\n".join(name[:200] for name in names[:2_000])
    for pattern, description in (*NETWORKS, *PIX2PIX_NETWORKS):
        if re.search(pattern, lines, re.IGNORECASE | re.MULTILINE):
            return description
    return f"{len(names)} tensors ({', '.join(names)[:60]} ...)"
