"""The contact sheet of a grid: its pictures in their places, labelled, as a picture of its own.

Pillow is imported when first needed, since the window's process imports this module; the work is
done on a thread that nobody waits for.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui import __version__, paths, words
from gui.errors import SfumatoError, disk_error
from gui.grid import Grid, GridAxis
from gui.library.picture_places import now, picture_folder
from gui.library.picture_reader import read_picture
from gui.library.picture_record import read_record
from gui.library.picture_texts import png_of, png_texts, slug
from gui.library.queue_grids import CellOutcome, FinishedGrid
from gui.library.temporaries import sweep, write_whole
from gui.request import PictureRecord, described_fields, value_of, with_value

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

CELL_SIDES = (256, 512)
"""The longest side of a cell: smaller pictures are enlarged, larger ones reduced, to be in here."""
MOST_PIXELS = 24_000_000
"""Of the sheet; cells get smaller to keep to it."""
LEAST_SIDE = 96
NOT_MADE = "Not made"
GONE = "Its picture is gone"
MOST_HEAD_LINES = 5

_GROUND, _TEXT, _QUIET, _EMPTY, _ERROR = "#FFFFFF", "#1C1C1F", "#5F5F66", "#EDEDEF", "#B3261E"
_FALLBACK_FONTS = (
    "/System/Library/Fonts/Supplemental/Arial Unicode.ttf",
    "/Library/Fonts/Arial Unicode.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
)
"""For scripts that the app's own typeface lacks, where the system has one of these."""


def save_sheet(finished: FinishedGrid) -> tuple[Path, PictureRecord] | None:
    """Make a grid's contact sheet and save it beside its pictures; one that is there already, as
    the process ended before it told of it, is taken as it is.

    Returns:
        The file and its record; None where there is no picture to be shown.

    Raises:
        SfumatoError: STORAGE where it cannot be saved.
    """
    grid = finished.grid
    pictures = [o.picture for o in finished.outcomes.values() if o.picture]
    first = next((r for p in pictures if (r := _record_of(p)) is not None), None)
    if first is None:
        return None
    name = f"grid-{grid.id[:8]}-{finished.revision + 1}"
    folders = dict.fromkeys(Path(picture).parent for picture in pictures)
    with contextlib.suppress(OSError, SfumatoError):
        for folder in folders:
            for file in folder.glob(f"*-{name}*.png"):
                record = read_record(file)
                if record is not None and record.grid == grid:
                    return file, record
    moment = datetime.now()
    image = draw_sheet(finished, first)
    record = _sheet_record(finished, first, image)
    # With the pictures, even where the day is another one by now.
    folder = next(reversed(folders), picture_folder(finished.base, moment))
    parts = [moment.strftime("%H%M%S"), name, slug(finished.base.prompt)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        file = write_whole(
            folder, "-".join(p for p in parts if p) + ".png", png_of(image, png_texts(record))
        )
    except OSError as error:
        raise disk_error(error, f"The contact sheet cannot be saved in {folder}") from error
    return file, record


def _record_of(picture: str) -> PictureRecord | None:
    try:
        return read_record(Path(picture))
    except (SfumatoError, OSError):
        return None


def _sheet_record(
    finished: FinishedGrid, first: PictureRecord, image: PillowImage
) -> PictureRecord:
    """What the sheet says of itself: what all its cells have in common, and the grid."""
    varies = {axis.field for axis in (finished.grid.columns, finished.grid.rows) if axis}
    common = finished.base
    for name in described_fields():
        if name not in varies and not name.startswith("start_image."):
            common = with_value(common, name, value_of(first.request, name))
    common = replace(common, count=1, grid=None, output_dir="", output_file="")
    several = "model" in varies
    return PictureRecord(
        common,
        *image.size,
        "several models" if several else first.model_name,
        "" if several else first.model_hash,
        program=f"Sfumato {__version__}",
        created=now(),
        grid=finished.grid,
    )


# Drawing


def draw_sheet(finished: FinishedGrid, first: PictureRecord) -> PillowImage:
    """The sheet itself: the prompt and what else all cells have in common, the labels of both
    sides, and the pictures; a cell without one says why."""
    from PIL import Image, ImageDraw

    grid = finished.grid
    width, height = _cell_size(grid, first.width, first.height)
    size = max(14, width // 17)
    plain, bold = _Type(size), _Type(size, bold=True)
    gap = max(4, width // 40)
    beside = _label_width(grid.rows, bold, width) if grid.rows is not None else 0
    left = gap * 2 + (beside + gap if beside else 0)
    total = left + grid.width * (width + gap) + gap
    room = total - 4 * gap
    head = [(line, bold) for line in bold.lines(first_line(finished), room, MOST_HEAD_LINES)]
    head += [(line, plain) for line in plain.lines(common_line(finished, first), room, 2)]
    above = [bold.lines(_labelled(grid.columns, n), width, 3) for n in range(grid.width)]
    top = gap * 3 + len(head) * plain.height + gap * 2
    column_height = max(len(lines) for lines in above) * bold.height
    down = top + column_height + gap
    sheet = Image.new("RGB", (total, down + grid.height * (height + gap) + gap), _GROUND)
    draw = ImageDraw.Draw(sheet)
    for k, (line, face) in enumerate(head):
        place = (gap * 2, gap * 3 + k * plain.height)
        face.draw(draw, place, line, _TEXT if face is bold else _QUIET)
    for x, lines in enumerate(above):
        for k, line in enumerate(lines):
            foot = top + column_height - (len(lines) - k) * bold.height
            bold.centred(draw, left + x * (width + gap), width, foot, line, _TEXT)
    for y in range(grid.height):
        row_top = down + y * (height + gap)
        if grid.rows is not None:
            lines = bold.lines(_labelled(grid.rows, y), beside, max(1, height // bold.height))
            begin = row_top + (height - len(lines) * bold.height) // 2
            for k, line in enumerate(lines):
                bold.draw(draw, (gap * 2, begin + k * bold.height), line, _TEXT)
        for x in range(grid.width):
            outcome = finished.outcomes.get((x, y), CellOutcome())
            box = (left + x * (width + gap), row_top, width, height)
            _draw_cell(sheet, draw, box, outcome, plain)
    return sheet


def first_line(finished: FinishedGrid) -> str:
    """What the pictures show; where that is a side of the grid, what all have in common."""
    return " ".join(finished.base.prompt.split()) or "(no prompt)"


def common_line(finished: FinishedGrid, first: PictureRecord) -> str:
    """How all the pictures were made, but for what changes along the sides."""
    varies = {axis.field for axis in (finished.grid.columns, finished.grid.rows) if axis}
    request = first.request
    parts = [
        ("model", first.model_name),
        ("seed", f"seed {request.seed}"),
        ("steps", words.plural(request.steps, "step") if request.steps else ""),
        ("guidance_scale", f"guidance {request.guidance_scale or 0:g}"),
        ("scheduler", request.scheduler or ""),
        ("size", words.pixels(first.width, first.height)),
    ]
    return "  ·  ".join(text for name, text in parts if text and name not in varies)


def _labelled(axis: GridAxis, at: int) -> str:
    """A side's value, with its parameter where a number would not say what it is."""
    value = axis.values[at]
    return f"{axis.label} {value}" if axis.field in described_numbers() else value


@lru_cache(maxsize=1)
def described_numbers() -> frozenset[str]:
    """Parameters whose values say nothing by themselves."""
    return frozenset(
        name
        for name, field in described_fields().items()
        if field.kind in (int, float, bool) or field.parameter.options
    )


def _cell_size(grid: Grid, width: int, height: int) -> tuple[int, int]:
    longest = max(width, height, 1)
    side = min(max(longest, CELL_SIDES[0]), CELL_SIDES[1])
    share = (width / longest) * (height / longest)
    fitting = (MOST_PIXELS / (grid.width * grid.height * max(share, 0.01))) ** 0.5
    side = max(min(side, int(fitting * 0.9)), LEAST_SIDE)
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))


def _label_width(axis: GridAxis, face: _Type, cell: int) -> int:
    texts = [_labelled(axis, n) for n in range(len(axis.values))]
    return min(max(face.width(text) for text in texts), max(cell * 3 // 4, 6 * face.height)) + 4


def _draw_cell(
    sheet: PillowImage,
    draw: ImageDraw,
    box: tuple[int, int, int, int],
    outcome: CellOutcome,
    face: _Type,
) -> None:
    left, top, width, height = box
    problem = outcome.problem or NOT_MADE
    if outcome.picture:
        try:
            image = _fitted(read_picture(Path(outcome.picture), max(width, height)), width, height)
        except (SfumatoError, OSError):
            problem = GONE
        else:
            sheet.paste(
                image, (left + (width - image.width) // 2, top + (height - image.height) // 2)
            )
            return
    draw.rectangle((left, top, left + width - 1, top + height - 1), fill=_EMPTY)
    inner = width - face.height
    lines = face.lines(problem, inner, max(1, height // face.height - 1))
    begin = top + (height - len(lines) * face.height) // 2
    for k, line in enumerate(lines):
        colour = _ERROR if outcome.problem else _QUIET
        face.centred(draw, left, width, begin + k * face.height, line, colour)


def _fitted(image: PillowImage, width: int, height: int) -> PillowImage:
    """A picture in its cell, RGB, its shape kept."""
    from PIL import Image

    from gui.library.picture_reader import opaque

    image = opaque(image)
    scale = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


class _Type:
    """A typeface at one size, with another where a text has letters that it lacks."""

    def __init__(self, size: int, *, bold: bool = False) -> None:
        name = "Inter-SemiBold.ttf" if bold else "Inter-Regular.ttf"
        self._size = size
        self._own = str(paths.resource("fonts") / name)
        self.height = round(size * 1.4)

    def _face(self, text: str) -> FreeTypeFont:
        for name in (self._own, *_FALLBACK_FONTS):
            face = _loaded(name, self._size)
            if face is not None and all(_has(name, c) for c in set(text) if c.isprintable()):
                return face
        own = _loaded(self._own, self._size)
        assert own is not None
        return own

    def width(self, text: str) -> int:
        return round(self._face(text).getlength(text))

    def lines(self, text: str, width: int, most: int) -> list[str]:
        """A text in lines of at most `width`, the last of at most `most` ending in … if need be."""
        lines: list[str] = []
        line = ""
        for word in " ".join(words.plain(text).split()).split(" "):
            longer = f"{line} {word}".strip()
            if line and self.width(longer) > width:
                lines.append(line)
                longer = word
            while self.width(longer) > width and len(longer) > 1:  # one enormous word
                cut = self._fitting(longer, width)
                lines.append(longer[:cut])
                longer = longer[cut:]
            line = longer
            if len(lines) > most:
                break
        lines.append(line)
        if len(lines) > most:
            last = lines[most - 1]
            while last and self.width(f"{last}…") > width:
                last = last[:-1]
            lines = [*lines[: most - 1], f"{last.rstrip()}…"]
        return lines

    def _fitting(self, text: str, width: int) -> int:
        low, high = 1, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.width(text[:middle]) <= width else (low, middle - 1)
        return low

    def draw(self, draw: ImageDraw, at: tuple[int, int], text: str, colour: str) -> None:
        draw.text(at, text, font=self._face(text), fill=colour)

    def centred(
        self, draw: ImageDraw, left: int, width: int, top: int, text: str, colour: str
    ) -> None:
        self.draw(draw, (left + (width - self.width(text)) // 2, top), text, colour)


@lru_cache(maxsize=32)
def _loaded(name: str, size: int) -> FreeTypeFont | None:
    from PIL import ImageFont

    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _has(name: str, character: str) -> bool:
    """Whether a typeface has a letter: what it lacks looks like what no typeface has."""
    face = _loaded(name, 16)
    if face is None:
        return False

    def drawn(text: str) -> Any:
        mask: Any = face.getmask(text)
        return mask.size, bytes(mask)

    return character.isspace() or drawn(character) != drawn("\uffff")
