"""Core ML's errors as sentences.

coremltools hands over the text of an NSError's userInfo.  The wording differs between versions of
macOS, so only telling fragments are looked for; the text itself goes into the detail.
"""

from __future__ import annotations

import re

from gui.errors import ErrorKind, SfumatoError

_RULES: tuple[tuple[str, ErrorKind, str], ...] = (
    (
        r"only support(ed)? on macos|libcoremlpython|installed from an egg|unable to compile any",
        ErrorKind.UNSUPPORTED,
        "Core ML cannot be used on this computer; install Sfumato again.",
    ),
    (
        r"no space left|not enough (disk )?space|disk is full|NSFileWriteOutOfSpace"
        r"|NSCocoaErrorDomain Code=640",
        ErrorKind.STORAGE,
        "The disk is full, so that {title} cannot be prepared; free some space, then try again.",
    ),
    (
        r"out of memory|insufficient memory|OutOfMemory|cannot allocate|memory pressure"
        r"|memory limit|bad_alloc|ENOMEM|not enough memory",
        ErrorKind.MEMORY,
        "The Mac ran out of memory at {title}; close other programs or choose a smaller model.",
    ),
    (
        r"specification version|requires? (macOS|a newer)|newer version of|not supported on this "
        r"(version|OS)|unsupported.*opset|unknown opset|minimum deployment",
        ErrorKind.UNSUPPORTED,
        "{title} needs a newer macOS than this Mac has; choose another model, or update macOS.",
    ),
    (
        r"(?-i:\bANE|ANEC)|neural ?engine|E5RT|e5bundle",
        ErrorKind.UNSUPPORTED,
        "The Neural Engine could not run {title}; choose CPU and GPU as compute units.",
    ),
    (
        r"could ?n[o']t open|could not open|no such file|does ?n[o']t exist|does not exist"
        r"|not a valid|unable to load model|failed to load|couldn.t be opened"
        r"|error (in )?(reading|parsing)|corrupt|truncated",
        ErrorKind.BAD_MODEL,
        "{title} is missing or damaged; get the model again.",
    ),
)

_OTHERWISE: dict[str, tuple[ErrorKind, str]] = {
    "compile": (
        ErrorKind.BAD_MODEL,
        "Core ML could not prepare {title}; get the model again, or choose another.",
    ),
    "load": (
        ErrorKind.BAD_MODEL,
        "Core ML could not load {title}; try other compute units, or get the model again.",
    ),
    "predict": (
        ErrorKind.INTERNAL,
        "Core ML could not run {title}; try other compute units.",
    ),
}


def translate(error: BaseException, title: str, action: str) -> SfumatoError:
    """An error raised by coremltools as a sentence.

    Args:
        error: what was raised.
        title: the file at fault.
        action: ``compile``, ``load`` or ``predict``.
    """
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError):
        text += " out of memory"
    for pattern, kind, sentence in _RULES:
        # "Error computing NN outputs" and its like are about running, never about the file
        if kind is ErrorKind.BAD_MODEL and action == "predict":
            continue
        if re.search(pattern, text, re.IGNORECASE):
            return SfumatoError(kind, sentence.format(title=title), text)
    kind, sentence = _OTHERWISE[action]
    return SfumatoError(kind, sentence.format(title=title), text)
