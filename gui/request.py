"""What is asked for and what comes back: the vocabulary every floor shares.

One picture request is one dataclass tree.  The window, the command line, the queue on disk, the
metadata inside a picture and the messages to the engine all carry this same tree as JSON.  What a
parameter may be and how it is told to people stands with its field and nowhere else, so a new one
is one field here and one row in the window's table of controls (`gui.ui.prompt.controls`).
Standard library only: the window process imports this before its first paint.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Self

from gui import records
from gui.control_use import Control
from gui.errors import ErrorKind, SfumatoError
from gui.grid import Grid, GridCell
from gui.parameters import Option, Parameter
from gui.provenance import Provenance
from gui.records import Range, Record, RecordError
from gui.start_image import StartImage
from gui.styles import PromptStyle
from gui.syntax.types import PromptSyntax

MAX_SEED = 2**32 - 1
"""Largest seed.  NumPy's and Swift's generators take 32 bits, and torch's CPU one uses no more."""

MAX_STEPS = 1000
MAX_COUNT = 1000
MAX_GUIDANCE = 100.0
MAX_BRANCHES = 12
"""How often a picture's way may branch; each time the earlier request is kept whole."""


class ComputeUnit(StrEnum):
    """Processors Core ML may use, by Apple's names.

    The portable runtime always runs on the CPU and takes every value.
    """

    ALL = "ALL"
    CPU_AND_GPU = "CPU_AND_GPU"
    CPU_AND_NE = "CPU_AND_NE"
    CPU_ONLY = "CPU_ONLY"


class Precision(StrEnum):
    """In which numbers the portable runtime computes.  Core ML chooses by itself."""

    FP32 = "fp32"
    BF16 = "bf16"
    """bfloat16 where that is most of the work, on processors that have it in hardware."""


class RandomSource(StrEnum):
    """Which program's random numbers the starting noise reproduces."""

    NUMPY = "numpy"
    """Apple's ml-stable-diffusion, the Hugging Face app and Mochi Diffusion."""
    TORCH = "torch"
    """diffusers on the CPU."""
    NVIDIA = "nvidia"
    """Stable Diffusion web UIs on an NVIDIA GPU (Philox)."""


class Composition(StrEnum):
    """Who decides where in the picture its subject stands."""

    MODEL = "model"
    VARIED = "varied"
    """The seed: place, size and direction (`gui.pipeline.placement`)."""


class Tiling(StrEnum):
    """Where a picture goes on at its opposite edge."""

    OFF = "off"
    BOTH = "both"
    X = "x"
    Y = "y"


class Enlargement(StrEnum):
    """By how much a finished picture is enlarged; the values are the factors."""

    OFF = "1"
    X2 = "2"
    X4 = "4"

    @property
    def factor(self) -> int:
        return int(self.value)


OWN_REFINER = "own"
"""Stands for the refiner that lies in the model's own folder."""
MAX_LORA_WEIGHT = 10.0
MIN_SIDE, MAX_SIDE = 64, 2048
"""Pixels; sides are multiples of 64."""


@dataclass(frozen=True)
class LoraUse(Record):
    """A LoRA that a picture is made with."""

    name: str
    """Its file's name without ending in the LoRA library, or a path."""
    weight: Annotated[float, Range(-MAX_LORA_WEIGHT, MAX_LORA_WEIGHT)] = 1.0
    text_encoder_weight: Annotated[float, Range(-MAX_LORA_WEIGHT, MAX_LORA_WEIGHT)] | None = None
    """None: as `weight`."""
    on: bool = True
    """Off: kept in the list, without effect."""


@dataclass(frozen=True)
class Branch(Record):
    """Where a picture leaves the way of an earlier one."""

    step: Annotated[int, Range(1, MAX_STEPS)]
    """The last step that both share: so many are made exactly as the earlier request says."""
    earlier: PictureRequest
    """Of one picture.  Its model is that of the whole request."""


@dataclass(frozen=True)
class PictureRequest(Record):
    """Everything that decides a picture.  Immutable; change it with `dataclasses.replace`."""

    prompt: Annotated[
        str,
        Parameter(
            "Prompt",
            "The prompt",
            "What to show; {red|blue} makes one of each, and \\{ is a brace that is meant.",
            ("--prompt",),
            metavar="TEXT",
            placeholder="What should be seen?",
        ),
    ]
    model: str
    """Folder of the model; empty for the starter model that ships with the app."""
    negative_prompt: Annotated[
        str,
        Parameter(
            "Negative prompt",
            "The negative prompt",
            "What to avoid.",
            ("--negative-prompt",),
            metavar="TEXT",
            placeholder="What should not be seen?",
        ),
    ] = ""
    steps: Annotated[
        int | None,
        Range(1, MAX_STEPS),
        Parameter(
            "Steps",
            "The number of steps",
            "More steps take longer and settle detail; 20 to 30 are usual.",
            ("--steps", "--num-inference-steps", "--step-count"),
            key="Steps",
            model_decides=True,
            useful=(1, 60),
        ),
    ] = None
    guidance_scale: Annotated[
        float | None,
        Range(0.0, MAX_GUIDANCE),
        Parameter(
            "Guidance",
            "The guidance scale",
            "How closely the picture follows the prompt; at 1 or less steps are twice as fast.",
            ("--guidance-scale",),
            metavar="X",
            key="CFG scale",
            model_decides=True,
            useful=(0, 20),
            decimals=1,
            step=0.5,
        ),
    ] = None
    """At 1 or below the UNet runs once per step."""
    scheduler: Annotated[
        str | None,
        Parameter(
            "Scheduler",
            "The scheduler",
            "The method that takes the noise away, for example “Euler a”.",
            ("--scheduler",),
            metavar="NAME",
            key="Sampler",
            model_decides=True,
        ),
    ] = None
    """A name from `gui.scheduler_names`."""
    seed: Annotated[
        int,
        Range(0, MAX_SEED),
        Parameter(
            "Seed",
            "The seed",
            "The same seed and settings give the same picture.",
            ("--seed", "-s"),
            "The same seed and settings give the same picture; default: a random one.",
            key="Seed",
        ),
    ] = 0
    count: Annotated[
        int,
        Range(1, MAX_COUNT),
        Parameter(
            "Pictures",
            "The number of pictures",
            "How many to make. Picture 2 is made from the next seed, and so on.",
            ("--count", "--image-count"),
            useful=(1, 12),
        ),
    ] = 1
    """Picture k is made from seed + k (modulo 2**32), alone reproducible; of variations, see
    `single`."""
    random_source: Annotated[
        RandomSource,
        Parameter(
            "Random numbers",
            "The source of random numbers",
            "Whose random numbers the picture begins with.",
            ("--rng",),
            metavar="SOURCE",
            options=(
                Option(
                    RandomSource.NUMPY,
                    "NumPy",
                    "Same pictures as Apple’s tools, Mochi Diffusion, Diffusers app",
                ),
                Option(
                    RandomSource.TORCH,
                    "PyTorch",
                    "Same pictures as the diffusers library on the CPU",
                ),
                Option(
                    RandomSource.NVIDIA,
                    "NVIDIA",
                    "Same pictures as Stable Diffusion web UIs on NVIDIA GPUs",
                ),
            ),
        ),
    ] = RandomSource.NUMPY
    compute_unit: Annotated[
        ComputeUnit,
        Parameter(
            "Compute unit",
            "The compute unit",
            "Processors that Core ML may use.",
            ("--compute-unit", "--compute-units"),
            metavar="UNIT",
            options=(
                Option(
                    ComputeUnit.ALL,
                    "Automatic",
                    "The quickest, as measured here; until then Core ML chooses.",
                ),
                Option(
                    ComputeUnit.CPU_AND_GPU,
                    "CPU and GPU",
                    "Suits models with original attention.",
                    ("cpuAndGPU",),
                ),
                Option(
                    ComputeUnit.CPU_AND_NE,
                    "CPU and Neural Engine",
                    "Suits split einsum models; least energy.",
                    ("cpuAndNeuralEngine",),
                ),
                Option(ComputeUnit.CPU_ONLY, "CPU only", "Slow, and always works.", ("cpuOnly",)),
            ),
        ),
    ] = ComputeUnit.ALL
    start_image: StartImage | None = None
    safety_checker: Annotated[
        bool,
        Parameter(
            "Safety checker",
            "The safety checker",
            "Use the model’s safety checker, where it has one.",
            ("--disable-safety",),
            "Leave out the model’s safety checker.",
        ),
    ] = True
    previews: bool = True
    output_dir: str = ""
    """Folder for the pictures; empty: the user's picture folder."""
    output_file: str = ""
    """Exact file to write instead (command line `-o FILE`); count > 1 numbers the files."""

    guidance_rescale: Annotated[
        float,
        Range(0.0, 1.0),
        Parameter(
            "Rescale",
            "The guidance rescale",
            "Takes back the glare of strong guidance; 0 is off, 0.7 suits velocity prediction.",
            ("--guidance-rescale",),
            metavar="X",
            key="CFG Rescale phi",
            decimals=2,
            step=0.05,
        ),
    ] = 0.0
    keep_previews: bool = False
    """Whether what was seen of each step is kept beside the picture (`gui.library.step_previews`);
    needs `previews`."""
    branch: Branch | None = None
    """What the picture's first steps are; prompt, guidance, scheduler and seed count from there
    on.  None: it begins with noise or its starting picture."""

    styles: Annotated[
        tuple[PromptStyle, ...],
        Parameter(
            "Styles",
            "The list of styles",
            "Texts that are put around the prompt and the negative prompt.",
        ),
    ] = ()
    """Those that the prompt and the negative prompt have around them already."""
    enlargement: Annotated[
        Enlargement | None,
        Parameter(
            "Enlarge",
            "The enlargement",
            "Enlarge the finished picture with an upscaling network.",
            ("--upscale",),
            metavar="X",
            key="Postprocess upscale by",
            model_decides=True,
            options=(
                Option(Enlargement.OFF, "Off", "Keep the size that the model draws.", ("off",)),
                Option(Enlargement.X2, "2 ×", "Twice as wide and high.", ("x2", "2x")),
                Option(Enlargement.X4, "4 ×", "Four times as wide and high.", ("x4", "4x")),
            ),
        ),
    ] = None
    upscaler: Annotated[
        str | None,
        Parameter(
            "Upscaler",
            "The upscaler",
            "The network that enlarges: “Drawings x4” is quick and draws clean outlines, "
            "“Photographs x4” is slow and thorough.",
            ("--upscaler",),
            metavar="NAME",
            key="Postprocess upscaler",
            model_decides=True,
        ),
    ] = None
    """A name from `gui.coreml.picture_network.upscalers`, or the path of a network's file."""
    grid: GridCell | None = None
    """Which cell of a grid the picture is, where it is one."""
    variation_strength: Annotated[
        float,
        Range(0.0, 1.0),
        Parameter(
            "Variation",
            "The variation strength",
            "How far the picture is turned towards the variation seed’s; 0 is off, 0.1 to 0.3 is a "
            "variation.",
            ("--variation-strength",),
            metavar="X",
            key="Variation seed strength",
            decimals=2,
            step=0.01,
        ),
    ] = 0.0
    """The share of the way on the sphere from the seed's starting noise to the other's."""
    variation_seed: Annotated[
        int | None,
        Range(0, MAX_SEED),
        Parameter(
            "Variation seed",
            "The variation seed",
            "The other seed, towards whose picture this one is turned.",
            ("--variation-seed",),
            "The other seed, towards whose picture this one is turned by --variation-strength; "
            "default: a random one.",
            key="Variation seed",
        ),
    ] = None
    """None: there is no variation; where one is asked for, a seed is drawn before the request."""

    loras: Annotated[
        tuple[LoraUse, ...],
        Parameter(
            "LoRAs",
            "The list of LoRAs",
            "Small files that teach the model a style or a subject.",
        ),
    ] = ()
    width: Annotated[
        int | None,
        Range(MIN_SIDE, MAX_SIDE),
        Parameter(
            "Width",
            "The width",
            "Of the picture in pixels, a multiple of 64; far from the model’s own, things are "
            "drawn twice.",
            ("--width",),
            "Of the picture in pixels: a multiple of 64, or one that the model draws as it is",
            model_decides=True,
            useful=(256, 1024),
            step=64,
        ),
    ] = None
    height: Annotated[
        int | None,
        Range(MIN_SIDE, MAX_SIDE),
        Parameter(
            "Height",
            "The height",
            "Of the picture in pixels, a multiple of 64; far from the model’s own, things are "
            "drawn twice.",
            ("--height",),
            "Of the picture in pixels: a multiple of 64, or one that the model draws as it is",
            model_decides=True,
            useful=(256, 1024),
            step=64,
        ),
    ] = None

    @property
    def varies(self) -> bool:
        """Whether the starting noise is turned towards another seed's."""
        return self.variation_strength > 0 and self.variation_seed is not None

    def single(self, number: int) -> PictureRequest:
        """The request for one picture alone, counted from 0.

        Seeds wrap at 2**32 rather than overflow.  Of a variation the seed stays and the variation
        seed counts up, as web UIs do it.
        """
        if self.varies and self.variation_seed is not None:
            other = (self.variation_seed + number) % (MAX_SEED + 1)
            return dataclasses.replace(self, variation_seed=other, count=1)
        return dataclasses.replace(self, seed=(self.seed + number) % (MAX_SEED + 1), count=1)

    def number_of(self, made: PictureRequest) -> int:
        """Which of its pictures, counted from 0, was made by a request of `single`."""
        if self.varies and self.variation_seed is not None:
            return ((made.variation_seed or 0) - self.variation_seed) % (MAX_SEED + 1)
        return (made.seed - self.seed) % (MAX_SEED + 1)

    controls: tuple[Control, ...] = ()
    """Pictures that lead it."""
    image_guidance_scale: Annotated[
        float | None,
        Range(0.0, MAX_GUIDANCE),
        Parameter(
            "Image CFG",
            "The image guidance scale",
            "How closely an instruct-pix2pix model keeps to the starting picture.",
            ("--image-guidance", "--image-guidance-scale"),
            metavar="X",
            key="Image CFG scale",
            model_decides=True,
            useful=(0, 4),
            decimals=1,
            step=0.1,
        ),
    ] = None
    """Counts with models that edit pictures as they are told, and with no others."""
    depth_map: Annotated[
        str,
        Parameter(
            "Depth map",
            "The depth map",
            "Shows a depth model how near everything is: light is near, dark is far.",
            ("--depth-map",),
            metavar="FILE",
        ),
    ] = ""
    """Path; empty: there is none."""
    composition: Annotated[
        Composition | None,
        Parameter(
            "Composition",
            "The composition",
            "Who decides where the subject stands.",
            ("--composition",),
            metavar="WHO",
            model_decides=True,
            options=(
                Option(Composition.MODEL, "As the model draws it", "The same for every seed."),
                Option(
                    Composition.VARIED,
                    "Varied by the seed",
                    "Place, size and direction differ; for models that know one of each.",
                ),
            ),
        ),
    ] = None
    prompt_syntax: Annotated[
        PromptSyntax,
        Parameter(
            "Prompt marks",
            "The syntax of the prompts",
            "How words are weighed in the prompts.",
            ("--prompt-syntax",),
            "How words are weighed in the prompts, a1111 by default",
            metavar="NAME",
            key="Prompt syntax",
            options=(
                Option(
                    PromptSyntax.WEB_UI,
                    "As web UIs (A1111)",
                    "(word:1.3), [word], BREAK, [from:to:0.5], [a|b], a AND b; \\( is a bracket.",
                    ("web-ui", "webui"),
                ),
                Option(
                    PromptSyntax.COMPEL,
                    "As compel (InvokeAI)",
                    "word++, word-, (some words)1.2 and (“a”, “b”).blend(0.7, 0.3).",
                    ("invoke", "invokeai"),
                ),
                Option(PromptSyntax.PLAIN, "None", "Brackets are read as they stand.", ("none",)),
            ),
        ),
    ] = PromptSyntax.PLAIN
    """Requests of earlier versions, which lack it, knew no marks; see `new_request`."""
    clip_skip: Annotated[
        int,
        Range(1, 12),
        Parameter(
            "Clip skip",
            "The clip skip",
            "Which layer of the text encoder is read, from its end: 1 is the last, 2 suits many "
            "anime models.",
            ("--clip-skip",),
            key="Clip skip",
            useful=(1, 4),
        ),
    ] = 1
    """As web UIs count it, one more than diffusers."""
    refiner: Annotated[
        str,
        Parameter(
            "Refiner",
            "The refiner",
            "A Stable Diffusion XL refiner that makes the last steps.",
            ("--refiner",),
            "A Stable Diffusion XL refiner that makes the last steps: a model, or “own” for the "
            "one that lies beside the model",
            metavar="MODEL",
            key="Refiner",
        ),
    ] = ""
    """Folder of its model, or `OWN_REFINER`; empty: none."""
    refiner_switch_at: Annotated[
        float,
        Range(0.0, 1.0),
        Parameter(
            "Switch at",
            "The point where the refiner takes over",
            "After which share of the steps the refiner takes over.",
            ("--switch-at",),
            metavar="X",
            key="Refiner switch at",
            decimals=2,
            step=0.05,
        ),
    ] = 0.8
    tiling: Annotated[
        Tiling,
        Parameter(
            "Tiling",
            "The tiling",
            "Make a picture whose edges go on at the opposite ones, for patterns.",
            ("--tiling",),
            metavar="WHICH",
            key="Tiling",
            options=(
                Option(Tiling.OFF, "Off", "The picture ends at its edges."),
                Option(Tiling.BOTH, "Both ways", "It can be laid beside and below itself."),
                Option(Tiling.X, "Side by side", "Left and right edge fit."),
                Option(Tiling.Y, "Above each other", "Upper and lower edge fit."),
            ),
        ),
    ] = Tiling.OFF

    @property
    def leading(self) -> tuple[Control, ...]:
        """The controls that are on."""
        return tuple(each for each in self.controls if each.on)

    detail_strength: Annotated[
        float,
        Range(0.0, 1.0),
        Parameter(
            "Detail",
            "The detail strength",
            "Paints finer detail into the finished picture, piece by piece; 0 is off, 0.2 to 0.35 "
            "keeps what it shows.",
            ("--detail",),
            metavar="X",
            decimals=2,
            useful=(0, 0.6),
            step=0.05,
        ),
    ] = 0.0
    """After enlarging.  With a starting picture at strength 0 this very picture is taken, at its
    own size."""
    reduce_memory: bool = False
    """Whether the model's networks are in memory one after the other, even where there is room for
    all; pictures of up to 512 × 512 are the same, larger ones are decoded in tiles."""
    precision: Precision = Precision.FP32
    """Where the machine cannot, or Core ML runs the model, it means nothing: what was computed in
    is in the picture's provenance."""

    def seeds(self) -> list[int]:
        """Seeds of the pictures."""
        return [self.single(number).seed for number in range(self.count)]

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read a request; unknown keys (a newer version's) are ignored.

        Raises:
            SfumatoError: BAD_REQUEST where a value has the wrong type or range.
        """
        try:
            return records.from_plain(cls, data)
        except RecordError as error:
            raise SfumatoError(ErrorKind.BAD_REQUEST, str(error), repr(error)) from error

    def validate(self) -> None:
        """Check types and the ranges that do not depend on the model.

        Raises:
            SfumatoError: BAD_REQUEST, naming the parameter and its range.
        """
        try:
            records.check(self)
        except RecordError as error:
            raise SfumatoError(ErrorKind.BAD_REQUEST, str(error)) from error
        for control in self.leading:
            if not control.picture:
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    f"“{control.network.rpartition('/')[2]}” has no control picture; choose one, "
                    "or switch it off.",
                )
        line = self.lineage()
        if len(line) > MAX_BRANCHES + 1:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"A picture's way can branch {MAX_BRANCHES} times; branch from an earlier picture.",
            )
        if any(earlier.model != self.model for earlier in line):
            name = line[0].model.rstrip("/").rpartition("/")[2] or "the starter model"
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"This goes on from a picture of another model, “{name}”; choose that model, or "
                "remove the branch.",
            )
        kept = self.loras, self.width, self.height
        if any((earlier.loras, earlier.width, earlier.height) != kept for earlier in line):
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "A branch has the LoRAs and the size of the picture it goes on from; set them as "
                "they were, or remove the branch.",
            )

    def lineage(self) -> list[PictureRequest]:
        """The requests whose steps make the picture, in the order of the steps; this is the last
        one, and the only one where nothing branches."""
        line: list[PictureRequest] = [self]
        while (branch := line[-1].branch) is not None:
            line.append(branch.earlier)
        return line[::-1]

    def mapped(self, change: Callable[[PictureRequest], PictureRequest]) -> PictureRequest:
        """With a change made here and in every request it branches from."""
        branch = self.branch
        if branch is not None:
            branch = dataclasses.replace(branch, earlier=branch.earlier.mapped(change))
        return change(dataclasses.replace(self, branch=branch))

    def with_all(self, **changes: Any) -> PictureRequest:
        """With fields changed here and in every request it branches from."""
        return self.mapped(lambda each: dataclasses.replace(each, **changes))

    def branched(self, step: int) -> Self:
        """A request that goes on from a step of this one, which made one picture, and is the same
        in everything else."""
        alone = dataclasses.replace(self, count=1, grid=None, output_dir="", output_file="")
        earlier = dataclasses.replace(alone, previews=True, keep_previews=False)
        return dataclasses.replace(alone, branch=Branch(step, earlier))


def new_request(prompt: str = "", model: str = "", **values: Any) -> PictureRequest:
    """What a person begins with: as `PictureRequest`, but with what later versions have on."""
    blank = PictureRequest(prompt, model, prompt_syntax=PromptSyntax.WEB_UI)
    return dataclasses.replace(blank, **values)


@dataclass(frozen=True)
class Described:
    """A field that people set: `name` as in ``steps`` or ``start_image.strength``."""

    name: str
    kind: type
    """Of its value where it is not None."""
    parameter: Parameter
    range: Range | None = None
    default: Any = None
    """None also where there is none."""


@cache
def described_fields() -> Mapping[str, Described]:
    """The fields of a `PictureRequest` and of its `StartImage` that people set, in order."""
    found = (*_described(PictureRequest, ""), *_described(StartImage, "start_image."))
    return MappingProxyType({each.name: each for each in found})


def _described(owner: type, prefix: str) -> Iterator[Described]:
    for name, hint in typing.get_type_hints(owner, include_extras=True).items():
        inner, *extras = typing.get_args(hint) or (hint,)
        told = next((each for each in extras if isinstance(each, Parameter)), None)
        if told is not None:
            bounds = next((each for each in extras if isinstance(each, Range)), None)
            kind = next((a for a in typing.get_args(inner) if a is not type(None)), inner)
            yield Described(prefix + name, kind, told, bounds, getattr(owner, name, None))


def value_of(request: PictureRequest, name: str) -> Any:
    """The value of a field that `described_fields` names; None where it is in something absent."""
    owner: Any = request
    for part in name.split("."):
        owner = getattr(owner, part) if owner is not None else None
    return owner


def with_value(request: PictureRequest, name: str, value: object) -> PictureRequest:
    """The request with one field changed, which `described_fields` names."""
    outer, _, inner = name.rpartition(".")
    if not outer:
        return dataclasses.replace(request, **{inner: value})
    start = request.start_image or StartImage("")
    return dataclasses.replace(request, start_image=dataclasses.replace(start, **{inner: value}))


@dataclass(frozen=True)
class PictureRecord(Record):
    """What a finished picture says of itself: stored in its PNG and sent with the `image` event."""

    request: PictureRequest
    """The request with every default filled in, count 1 and this picture's own seed."""
    width: int
    height: int
    model_name: str
    model_hash: str = ""
    seconds: float = 0.0
    """Wall time of this picture, loading excluded."""
    notes: tuple[str, ...] = ()
    """Sentences the person should know (prompt cut, safety checker blanked the picture …)."""
    safety: str = "absent"
    """`absent` (model has none), `off` (person's choice), `passed` or `blanked`."""
    program: str = ""
    created: str = ""
    """ISO 8601 local time with offset."""
    job: str = ""
    """Id of the job it was made for, by which one that was interrupted knows its pictures."""
    provenance: Provenance = field(default_factory=Provenance)
    grid: Grid | None = None
    """Of a contact sheet: the grid it shows; `request` is what its cells have in common."""

    @property
    def drawn_size(self) -> tuple[int, int]:
        """Width and height that the model drew, before the picture was enlarged; of a part that was
        put back into a picture, that one's."""
        start, enlargement = self.request.lineage()[0].start_image, self.request.enlargement
        put_back = start is not None and start.keeps_size
        factor = enlargement.factor if enlargement and not put_back else 1
        return self.width // factor, self.height // factor
