"""Figures and terms in words, the same in the window, on the command line and in every sentence.

Pure functions of plain values; the standard library only.  Terms are looked up by the values of the
enumerations that they name (`gui.coreml.model`, `gui.hub.types`, `gui.request`), which are strings.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime

# Terms

COMPONENTS = {
    "text_encoder": "text encoder",
    "text_encoder_2": "second text encoder",
    "text_encoder_t5": "T5 text encoder",
    "unet": "UNet",
    "control-unet": "ControlNet-ready UNet",
    "refiner": "refiner",
    "mmdit": "diffusion transformer",
    "vae": "VAE",
    "vae_decoder": "VAE decoder",
    "vae_encoder": "VAE encoder",
    "safety_checker": "safety checker",
    "controlnet": "ControlNet",
    "picture": "upscaler",
    "variant": "LoRAs and picture size",
}
"""Networks as they are called within a sentence; `capital` begins one."""

FAMILIES = {
    "sd1": "Stable Diffusion 1",
    "sd2": "Stable Diffusion 2",
    "sdxl": "Stable Diffusion XL",
    "sdxl-refiner": "Stable Diffusion XL refiner",
    "sd3": "Stable Diffusion 3",
    "unknown": "Unknown family",
}

SHORT_FAMILIES = {
    "sd1": "SD 1",
    "sd2": "SD 2",
    "sdxl": "SDXL",
    "sdxl-refiner": "SDXL refiner",
    "sd3": "SD 3",
    "unknown": "Unknown",
}
"""For narrow places."""

ATTENTION = {
    "original": "Original",
    "split_einsum": "Split einsum",
    "split_einsum_v2": "Split einsum v2",
    "unknown": "Unknown",
}

PREDICTIONS = {
    "epsilon": "Noise (epsilon)",
    "v_prediction": "Velocity (v-prediction)",
    "sample": "The picture itself (sample)",
}
"""What a UNet may predict, by diffusers' names."""

FORMATS = {"mlpackage": "packages", "mlmodelc": "compiled"}

CONTROLNET_READY = "ControlNet-ready"

UNITS = {
    "ALL": "All processors",
    "CPU_AND_GPU": "GPU",
    "CPU_AND_NE": "Neural Engine",
    "CPU_ONLY": "CPU",
}
"""Core ML's compute units by the processor that each is chosen for; the CPU helps all of them."""

PREPARING = (
    "Core ML is preparing this model for the Neural Engine. It does so once; it takes a minute or "
    "two."
)
"""Of the first load of a network."""

PROCESSORS = {"neural_engine": "Neural Engine", "gpu": "GPU", "cpu": "CPU"}

LICENCES = {
    "creativeml-openrail-m": "CreativeML OpenRAIL-M",
    "openrail++": "OpenRAIL++-M",
    "openrail": "OpenRAIL",
    "apache-2.0": "Apache 2.0",
    "mit": "MIT",
}
"""By the Hub's tags."""

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LONG_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


def computer(mac: bool) -> str:
    """What the machine that a sentence speaks of is called."""
    return "this Mac" if mac else "this computer"


COMPUTER = computer(sys.platform == "darwin")

LEVELS = {
    "good": f"Runs well on {COMPUTER}",
    "fair": f"Runs on {COMPUTER} with limits",
    "no": f"Won’t run on {COMPUTER}",
}
"""Verdicts on a model, best first."""


def component(kind: str) -> str:
    """A network's name within a sentence; for a value that is not known, the value in words."""
    return COMPONENTS.get(kind, kind.replace("_", " "))


def family(kind: str) -> str:
    return FAMILIES.get(kind, FAMILIES["unknown"])


def short_family(kind: str) -> str:
    return SHORT_FAMILIES.get(kind, SHORT_FAMILIES["unknown"])


def attention(kind: str) -> str:
    return ATTENTION.get(kind, ATTENTION["unknown"])


def palette(bits: float, *, mixed: bool = False) -> str:
    """How weights are stored in tables of 2ᵇⁱᵗˢ values: ``6-bit palette``."""
    return f"mixed palette ({bits:.1f} bits)" if mixed else f"{bits:.0f}-bit palette"


def compression(form: str) -> str:
    """How a model's weights are stored, to begin a line: ``6-bit palette``, ``Uncompressed``."""
    return capital(form) or "Uncompressed"


UNKNOWN_SOURCE = (
    "It is not known which checkpoint this model was made from, so a LoRA may suit it badly."
)


def licence(tag: str) -> str:
    """A licence's name; a tag that is not known stands for itself."""
    return LICENCES.get(tag, "Other licence" if tag in ("other", "unknown") else tag)


USUAL_STEPS, USUAL_SIDE = 25, 512
FAST_STEPS = 8
FAST_WORK, SLOW_WORK = 0.4, 2.0
"""For `pace`."""

# Amounts


def size(count: float) -> str:
    """Bytes in files and on disks, as Finder counts them, in powers of 1000: ``1.98 GB``."""
    if count < 999.5:
        return plural(round(count), "byte")
    value = float(count)
    for unit in ("KB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    digits = 0 if value >= 99.95 or unit == "KB" else 1 if value >= 9.995 or unit == "MB" else 2
    return f"{value:.{digits}f} {unit}"


def memory(count: float) -> str:
    """An amount of memory as Macs are sold with it, in units of 2³⁰ bytes: ``4.1 GB``, ``16 GB``;
    below one of them, in units of 2²⁰: ``310 MB``."""
    if count < 2**30:
        return f"{count / 2**20:.0f} MB"
    return f"{count / 2**30:.1f}".removesuffix(".0") + " GB"


def progress(done: float, total: float) -> str:
    """``312 MB of 1.60 GB``; what is done is never told as more than all there is."""
    return f"{size(min(done, total))} of {size(total)}"


def rate(bytes_per_second: float) -> str:
    """Of a transfer: ``24.0 MB/s``."""
    return f"{size(bytes_per_second)}/s"


def percent(share: float) -> str:
    """A share of 0 to 1; 100% is said of what is complete only."""
    return f"{int(100 * min(1.0, max(0.0, share)) + 1e-9)}%"


def pixels(width: int, height: int) -> str:
    """A picture's size, width first: ``512 × 768``."""
    return f"{width} × {height}"


def count(number: int) -> str:
    """A count in at most four characters: ``987``, ``1.2k``, ``12.3k``, ``123k``, ``4.5M``."""
    value = float(max(0, number))
    if value < 1000:
        return str(int(value))
    for unit in ("k", "M", "G"):
        value /= 1000
        if value < 999.5 or unit == "G":
            break
    text = f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
    return text.removesuffix(".0") + unit


def plural(number: int, one: str, many: str = "") -> str:
    """``1 file``, ``3 files``, ``1,200 files``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def few_steps(steps: int, method: str) -> str:
    """What a distilled model is made for: ``4 steps, LCM``, or ``8 steps``."""
    return ", ".join(filter(None, (plural(steps, "step"), method)))


def counted(number: int, one: str) -> str:
    """``1 like``, ``1.2k likes``."""
    return f"{count(number)} {one if number == 1 else one + 's'}"


def weights(number: int) -> str:
    """How large a network is: ``860 million weights``."""
    if number >= 999_500_000:
        return f"{number / 1e9:.1f} billion weights"
    return f"{number / 1e6:.0f} million weights" if number >= 1e6 else plural(number, "weight")


# Time


def duration(seconds: float) -> str:
    """A span of time to read at a glance: ``8 s``, ``2 min 5 s``, ``1 h 4 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def measured(seconds: float) -> str:
    """How long something took; with tenths where whole seconds would say little: ``3.2 s``."""
    return f"{seconds:.1f} s" if 0 <= seconds < 9.95 else duration(seconds)


def left(seconds: float) -> str:
    """``5 min left``; empty where nobody knows."""
    return f"{duration(seconds)} left" if seconds > 0 else ""


def speed(seconds_per_step: float) -> str:
    """Speed the way that keeps the number above one: ``2.4 s/step`` or ``3.1 steps/s``."""
    if seconds_per_step <= 0:
        return ""
    if seconds_per_step >= 1:
        return f"{seconds_per_step:.1f} s/step"
    return f"{1 / seconds_per_step:.1f} steps/s"


def iterations(seconds_per_step: float) -> str:
    """The same as programs for Stable Diffusion publish it: ``2.1 it/s``, or ``3.4 s/it``."""
    if seconds_per_step <= 0:
        return ""
    if seconds_per_step > 1:
        return f"{seconds_per_step:.1f} s/it"
    rate = 1 / seconds_per_step
    return f"{rate:.0f} it/s" if rate >= 99.5 else f"{rate:.1f} it/s"


def pace(steps: int, width: int = 0, height: int = 0) -> str:
    """How much work a picture is: ``Fast, 4 steps for a picture``.

    Measured by what Stable Diffusion 1 does at its own size in `USUAL_STEPS`; a model that needs
    few steps is fast whatever its size.

    Args:
        steps: 0: the model does not say.
        width, height: of a picture; 0: not known.
    """
    number = steps or USUAL_STEPS
    work = number / USUAL_STEPS * ((width * height or USUAL_SIDE**2) / USUAL_SIDE**2)
    few = number <= FAST_STEPS or work <= FAST_WORK
    word = "Fast" if few else "Slow" if work > SLOW_WORK else "Usual"
    return f"{word}, {plural(number, 'step')} for a picture"


def day(moment: str, now: datetime | None = None) -> str:
    """The day of an ISO 8601 moment, ``3 May``, or ``3 May 2024`` when it is another year's; empty
    where that cannot be read."""
    then = _moment(moment)
    if then is None:
        return ""
    return date_of(then.astimezone(), (now or datetime.now(UTC)).astimezone())


def date_of(which: date, today: date | None = None) -> str:
    """A day as ``3 May``, or ``3 May 2024`` when it is another year's."""
    text = f"{which.day} {_MONTHS[which.month - 1]}"
    return text if which.year == (today or date.today()).year else f"{text} {which.year}"


def day_heading(which: date, today: date | None = None) -> str:
    """A day above what belongs to it: ``Today``, ``Yesterday``, ``Thursday, 26 November``, with
    the year when it is another one."""
    today = today or date.today()
    past = (today - which).days
    if past in (0, 1):
        return ("Today", "Yesterday")[past]
    year = "" if which.year == today.year else f" {which.year}"
    return f"{_WEEKDAYS[which.weekday()]}, {which.day} {_LONG_MONTHS[which.month - 1]}{year}"


def ago(moment: str, now: datetime | None = None) -> str:
    """How long ago an ISO 8601 moment was: ``today``, ``3 days ago``; empty when not readable."""
    then = _moment(moment)
    if then is None:
        return ""
    days = ((now or datetime.now(UTC)) - then).days
    if days < 1:
        return "today"
    if days < 2:
        return "yesterday"
    for unit, length, until in (("day", 1, 14), ("week", 7, 61), ("month", 30.44, 700)):
        if days < until:
            return f"{plural(int(days / length), unit)} ago"
    return f"{plural(round(days / 365.25), 'year')} ago"


def short_ago(moment: str, now: datetime | None = None) -> str:
    """The same with units cut short, for narrow places: ``3 mo ago``."""
    text = ago(moment, now)
    for unit, short in (("week", "wk"), ("month", "mo"), ("year", "yr")):
        text = text.replace(f"{unit}s ", f"{short} ").replace(f"{unit} ", f"{short} ")
    return text


def _moment(text: str) -> datetime | None:
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return None
    return then if then.tzinfo is not None else then.replace(tzinfo=UTC)


# Text


def capital(text: str) -> str:
    """With a capital at the beginning, the rest as it is."""
    return text[:1].upper() + text[1:]


def listed(items: Iterable[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, end = [*items] or [""]
    return f"{', '.join(first)} {last} {end}" if first else end


def shortened(text: str, length: int) -> str:
    """At most `length` characters, the last of them an ellipsis where something is cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def plain(text: str) -> str:
    """What a stranger wrote, without characters that are not to be seen: some turn a text around,
    some steer a terminal.  A blank stands for each."""
    return "".join(c if c.isprintable() else " " for c in text)


def quoted(text: str, length: int = 80) -> str:
    """A name or a text from outside within a sentence: plain, in quotation marks, not endless."""
    return f"“{shortened(plain(text), length)}”"


def plain_tip(text: str) -> str:
    """A text for a tool tip, as it is: Qt takes what looks like HTML for HTML."""
    lines = "<br>".join(html.escape(line) for line in text.split("\n"))
    return f"<p>{lines}</p>" if text else ""


def short_name(name: str) -> str:
    """A repository's name without the “coreml” that nearly all of them begin with."""
    for start in ("coreml-", "coreml_", "core-ml-"):
        if name.lower().startswith(start) and len(name) > len(start):
            return name[len(start) :]
    return name
