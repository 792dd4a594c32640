"""Stage "warm": the shipped packages as torch weights again, to go on from them.

Checkpoints are not shipped, the packages are. Their palettes are what the app draws with, so
training that starts from them starts from what people see. Optimizers begin anew.
"""

from __future__ import annotations

from pathlib import Path

import coremltools as ct
import numpy as np
import torch
from coremltools.converters.mil.frontend.milproto.load import load as load_program
from torch import Tensor, nn
from transformers import CLIPTokenizer

from gui.coreml.sidecar import read

from .autoencoder import Autoencoder, save_checkpoint
from .convert import example_inputs, package_name, stages
from .data import Sprites
from .denoiser import CompactText, Denoiser, load_tokenizer, tokens_in_use
from .world import Subject, spoken_names


def stored_tensors(package: Path) -> dict[str, np.ndarray]:
    """Every constant of a package by its name there, palettes resolved, in the graph's order."""
    model = ct.models.MLModel(str(package), skip_model_load=True)
    spec = model.get_spec()
    program = load_program(spec, spec.specificationVersion, str(model.weights_dir))
    found = {}
    for operation in program.functions["main"].operations:
        if operation.op_type == "const":
            found[operation.name] = operation.outputs[0].val
        elif operation.op_type == "constexpr_lut_to_dense":
            found[operation.name] = operation.materialized_val_inference()
    return found


def _norms_in_order(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[str]:
    """Names of the group norms in the order in which they run."""
    order, hooks = [], []
    for name, part in module.named_modules():
        if isinstance(part, nn.GroupNorm):
            hook = part.register_forward_hook(lambda *_, name=name: order.append(name))
            hooks.append(hook)
    with torch.no_grad():
        module(*inputs)
    for hook in hooks:
        hook.remove()
    return order


def restore(name: str, module: nn.Module, package: Path) -> None:
    """Give a network of ``convert.stages`` the weights of its package.

    Raises:
        ValueError: The package lacks one of the module's parameters, or holds it in another shape.
    """
    stored = stored_tensors(package)
    gammas = [key for key in stored if key.endswith("_gamma_0_to_fp16")]
    values: dict[str, np.ndarray] = {}
    norms = _norms_in_order(module, tuple(example_inputs(name).values()))
    for norm, gamma in zip(norms, gammas, strict=True):
        values[f"{norm}.weight"] = stored[gamma]
        values[f"{norm}.bias"] = stored[gamma.replace("_gamma_", "_beta_")]
    state = {}
    for key, parameter in module.named_parameters():
        plain = f"{key.replace('.', '_').replace('text_model_', '')}_to_fp16"
        value = values.get(key, stored.get(plain, stored.get(f"{plain}_palettized")))
        if value is None and key.endswith("position_embedding.weight"):
            value = stored["position_embeddings_to_fp16_palettized"][0]
        if value is None or value.size != parameter.numel():
            raise ValueError(f"{package.name} has no {key}")
        state[key] = torch.from_numpy(np.asarray(value, np.float32)).reshape(parameter.shape)
    module.load_state_dict(state, strict=False)


def words_in(rows: np.ndarray) -> list[int]:
    """One token for every row of the embedding, in their order; several may share a row."""
    known = np.flatnonzero(rows)
    return [int(i) for i in known[np.unique(rows[known], return_index=True)[1]]]


def restore_shipped(folder: Path) -> tuple[Autoencoder, Denoiser]:
    """The networks of the packages in ``folder``, in evaluation mode."""
    rows = stored_tensors(folder / package_name("text_encoder"))["rows"]
    autoencoder, denoiser = Autoencoder(), Denoiser(words_in(rows))
    denoiser.text.rows.copy_(torch.from_numpy(rows))
    for name, module in stages(autoencoder, denoiser).items():
        restore(name, module, folder / package_name(name))
    return autoencoder.eval(), denoiser.eval()


def reword(state: dict, wanted: list[int], sources: dict[int, list[int]]) -> None:
    """Give a checkpoint embeddings for exactly the tokens of this world, in place.

    Tokens that are no more wanted join those that are unknown; new ones begin as the mean of
    others.

    Args:
        state: What ``denoiser.Training.save`` writes, with or without optimizers.
        wanted: Sorted token ids.
        sources: For new tokens, tokens whose embeddings they begin with.
    """
    table_of_rows: Tensor = state["model"]["text.rows"]
    row = {int(token): int(table_of_rows[token]) for token in table_of_rows.nonzero()[:, 0]}
    sizes = {len(state["used"]) + 1}

    def chosen(table: Tensor) -> Tensor:
        rows = [table[0]]
        for token in wanted:
            origin = [token] if token in row else sources.get(token, [])
            found = [table[row[one]] for one in origin if one in row]
            rows.append(torch.stack(found).mean(0) if found else table[0])
        return torch.stack(rows)

    for part in ("model", "average"):
        weights = state[part]
        for name, value in weights.items():
            if name.endswith("token_embedding.weight"):
                weights[name] = chosen(value)
            elif name.endswith("text.rows"):
                rows = torch.zeros_like(value)
                rows[torch.tensor(wanted)] = torch.arange(1, len(wanted) + 1)
                weights[name] = rows
    for optimizer in state.get("optimizers", ()):
        for moments in optimizer["state"].values():
            for name, value in moments.items():
                if isinstance(value, Tensor) and value.ndim == 2 and len(value) in sizes:
                    moments[name] = chosen(value)
    state["used"] = wanted


def new_words(tokenizer: CLIPTokenizer, subjects: list[Subject]) -> dict[int, list[int]]:
    """For every token of a thing's other names, the tokens of its usual name."""
    found: dict[int, list[int]] = {}
    for subject in subjects:
        usual = tokenizer(subject.name)["input_ids"][1:-1]
        for name in spoken_names(subject)[1:]:
            for token in tokenizer(name)["input_ids"][1:-1]:
                found.setdefault(token, usual)
    return found


def warm_start(folder: Path, work: Path, tokenizer_folder: Path) -> None:
    """Write ``autoencoder.pt``, ``denoiser.pt`` and ``latents.pt`` (scale and shift only)."""
    tokenizer, subjects = load_tokenizer(tokenizer_folder), Sprites.load(work / "data").subjects
    sidecar = read(folder)
    if sidecar is None:
        raise FileNotFoundError(f"no sidecar in {folder}")
    autoencoder, denoiser = restore_shipped(folder)
    save_checkpoint(
        work / "autoencoder.pt", {"model": autoencoder.state_dict(), "step": 0, "seconds": 0.0}
    )
    text: CompactText = denoiser.text
    weights = denoiser.state_dict()
    state: dict = {"model": weights, "average": dict(weights)}
    used = words_in(text.rows.numpy())
    state |= {"step": 0, "seconds": 0.0, "used": used}
    reword(state, tokens_in_use(tokenizer, subjects), new_words(tokenizer, subjects))
    save_checkpoint(work / "denoiser.pt", state)
    empty = torch.zeros(0, dtype=torch.long)
    save_checkpoint(
        work / "latents.pt",
        {
            "values": torch.zeros(0, 8, 16, 16),
            "subject": empty,
            "background": empty,
            "scale": sidecar.scaling_factor,
            "shift": sidecar.shift_factor,
        },
    )
