"""Finds the network that a file of weights holds: inside dicts, wrappers and other networks.

People save networks in many ways: inside a checkpoint with optimizers, as one of several networks
of a Lightning module, compiled by torch.compile, or spread over devices. The names of the tensors
then have another beginning, but the tensors are the same.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import NetworkName
from pix2pix_jax.interop.foreign_networks import describe_network
from pix2pix_jax.interop.pytorch.pickles import Opaque, Tensor, UnusualTensor

# The parts of a name that wrappers add: torch.compile, DataParallel and AveragedModel, FSDP,
# activation checkpointing, and Lightning Fabric.
WRAPPERS = {
    "_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module",
}  # fmt: skip
# Tensors that averages of weights keep beside the network, such as the number of updates.
COUNTERS = {"n_averaged", "num_updates", "decay", "initted", "step"}
MAX_DEPTH = 64  # the deepest dict or module inside others
MAX_VISITS = 20_000  # the most dicts and modules of a file
StateDict = dict[str, Any]  # tensors, or descriptions of tensors with a shape, by name


@dataclass(frozen=True)
class Part:
    """The tensors of one network in a file.

    Attributes:
      place: the keys and the beginning of the names that lead to the network, with dots between
        them; "." if the network is at the top of the file.
      tensors: the tensors of the network, by name, without the beginning of the names.
      discriminators: the places of the discriminators in a file, beside a generator.
    """

    place: str
    tensors: StateDict
    discriminators: tuple[str, ...] = ()


def find_state_dicts(content: Any) -> dict[str, StateDict]:
    """Finds all state dicts inside the content of a pickle.

    A state dict is a dict with tensors, or a whole module, which keeps its tensors in dicts.

    Args:
      content: the content that `pickles.load_pickle` returned.

    Returns:
      The state dicts by their place: the keys that lead to them, with dots between the keys.

    Raises:
      UsageError: there are no tensors; the message says what the content is.
    """
    finder = _Finder()
    finder.visit(content, (), 0)
    if not finder.found:
        raise _explain_no_tensors(content)
    return finder.found


class _Finder:
    """Walks through the content of a pickle, which can contain itself."""

    def __init__(self) -> None:
        self.found: dict[str, StateDict] = {}
        self._num_visits = 0

    def visit(self, value: Any, keys: tuple[str, ...], depth: int) -> None:
        """Finds the state dicts in a value, which `keys` lead to."""
        if self._count_visit(depth):
            return
        if isinstance(value, Opaque):
            self._visit_module(value, ".".join(keys), "", depth)
            return
        items = list(value.items()) if isinstance(value, dict) else []
        if isinstance(value, list | tuple) and not isinstance(value, Tensor | UnusualTensor):
            items = [(str(index), inner) for index, inner in enumerate(value)]
        for key, inner in items:
            if not isinstance(key, str):  # for example, the numbers of an optimizer's parameters
                continue
            if isinstance(inner, Tensor | UnusualTensor):
                self.found.setdefault(".".join(keys), {})[key] = inner
            elif isinstance(inner, dict | list | tuple | Opaque):
                self.visit(inner, (*keys, key), depth + 1)

    def _visit_module(self, module: Opaque, place: str, prefix: str, depth: int) -> None:
        """Finds the tensors of a whole module, under the names that its state dict has."""
        if self._count_visit(depth):
            return
        state = module.state if isinstance(module.state, dict) else {}
        groups = [state.get(name) for name in ("_parameters", "_buffers", "_modules")]
        groups = [group for group in groups if isinstance(group, dict)]
        # A module of TorchScript has its tensors and modules as attributes.
        for group in groups or [state]:
            for name, value in group.items():
                if isinstance(value, Tensor | UnusualTensor):
                    self.found.setdefault(place, {})[f"{prefix}{name}"] = value
                elif isinstance(value, Opaque):
                    self._visit_module(value, place, f"{prefix}{name}.", depth + 1)

    def _count_visit(self, depth: int) -> bool:
        """Counts a visit, and returns whether a limit is passed.

        Content that is so deep or so large may have no end.
        """
        self._num_visits += 1
        return depth > MAX_DEPTH or self._num_visits > MAX_VISITS


def _explain_no_tensors(content: Any) -> UsageError:
    """The error for a pickle without tensors."""
    if isinstance(content, Opaque):
        return UsageError(
            f"contains a whole {content.class_name}, not only tensors", "save only net.state_dict()"
        )
    if not isinstance(content, dict):
        kind = type(content).__name__
        return UsageError(f"contains a {kind}, not a state dict", "save only net.state_dict()")
    if not content:
        return UsageError(
            "contains an empty state dict", "save net.state_dict() of a whole network"
        )
    for value in content.values():
        if isinstance(value, Opaque):
            return UsageError(
                f"contains a whole {value.class_name}, not only tensors",
                "save only net.state_dict()",
            )
    names = ", ".join(map(str, content))
    return UsageError(
        f"contains a dict with the keys {names:.80}, not a state dict", "save only net.state_dict()"
    )


def choose_part(state_dicts: Mapping[str, StateDict], network: NetworkName, wanted: str) -> Part:
    """The part of a file that holds a network.

    Args:
      state_dicts: the state dicts of the file by place, as `find_state_dicts` returns them.
      network: the network to find.
      wanted: the place that the user gave; empty: the only place where the network can be.

    Raises:
      UsageError: the file holds no such network, or several, or a tensor of the network is not an
        array. The message names them.
    """
    parts = [part for part in _find_parts(state_dicts, network) if wanted in ("", part.place)]
    if not parts:
        parts = list(_find_parts(state_dicts, network))
        if wanted and parts:
            places = " or ".join(part.place for part in parts)
            raise UsageError(
                f"has no {network} at {wanted}",
                f"after the colon, give {places}, or leave the colon out",
            )
        raise UsageError(*describe_network(state_dicts, network))
    first, *others = parts
    if not all(_has_same_tensors(part, first) for part in others):
        places = [part.place for part in parts]
        flag = "--weights" if network == "generator" else "--discriminator"
        raise UsageError(
            f"contains {len(parts)} {network}s: {', '.join(places)}",
            f"choose one of them by {flag}=FILE:{places[-1]}",
        )
    for name, tensor in first.tensors.items():
        if isinstance(tensor, UnusualTensor):
            raise UsageError(f"{name} is {tensor.kind}", tensor.fix)
    if network == "generator":
        others = dict.fromkeys(part.place for part in _find_parts(state_dicts, "discriminator"))
        return replace(first, discriminators=tuple(others))
    return first


def _has_same_tensors(part: Part, other: Part) -> bool:
    """Whether two parts are two names of the same tensors in the file."""
    pairs = [(part.tensors.get(name), tensor) for name, tensor in other.tensors.items()]
    return len(pairs) == len(part.tensors) and all(
        isinstance(a, Tensor) and isinstance(b, Tensor) and a == b for a, b in pairs
    )


def _find_parts(state_dicts: Mapping[str, StateDict], network: NetworkName) -> Iterator[Part]:
    """Yields all parts of a file that look like a network."""
    for place, raw in state_dicts.items():
        tensors = strip_wrappers(raw)
        prefixes, outermost = find_prefixes(tensors, network), ""
        if network == "generator" and not prefixes:
            # The attribute `model` of a generator was saved instead of the generator.
            prefixes, outermost = find_prefixes(tensors, "generator", "model."), "model."
        for prefix in prefixes:
            # A network at the top of the file does not contain the networks beside it.
            inner = tuple(
                other for other in prefixes if other != prefix and other.startswith(prefix)
            )
            part = {
                f"{outermost}{name.removeprefix(prefix)}": tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix) and not name.startswith(inner) and name not in COUNTERS
            }
            yield Part(f"{place}.{prefix}".strip(".") or ".", part)


def strip_wrappers(tensors: StateDict) -> StateDict:
    """Removes the parts that wrappers add to the names of tensors.

    If two names would become one, no name is changed.
    """
    stripped = {
        ".".join(part for part in name.split(".") if part not in WRAPPERS): tensor
        for name, tensor in tensors.items()
    }
    return stripped if len(stripped) == len(tensors) else tensors


def find_prefixes(
    tensors: StateDict, network: NetworkName, missing: Literal["", "model."] = ""
) -> list[str]:
    """The beginnings of names after which the names of a network follow.

    The beginning is "" if the network is at the top of the file.

    A U-Net of the PyTorch code begins with `model.model.0` and has an inner block in
    `model.model.1`; a discriminator begins with `model.0` or `net.0`, and has no inner block.

    Args:
      tensors: the tensors of a state dict, by name.
      network: the network to find.
      missing: the beginning of the network's names that the file lacks.
    """
    is_generator = network == "generator"
    root = "model.model.".removeprefix(missing) if is_generator else ""
    pattern = re.escape(f"{root}0.") if is_generator else r"(?:model|net)\.0\."
    block = f"{root}1.model." if is_generator else "model.1.model."
    found: dict[str, None] = {}
    names = sorted(tensors)
    for name in names:
        if match := re.match(rf"(|.*\.){pattern}(?:weight|parametrizations)", name):
            prefix = match[1]
            # Of the sorted names, this is the first that can begin with the block.
            first = bisect_left(names, f"{prefix}{block}")
            has_block = first < len(names) and names[first].startswith(f"{prefix}{block}")
            if has_block == is_generator:
                found[prefix] = None
    return sorted(found)
