"""What is kept of prompts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from gui import records
from gui.records import Record
from gui.state.draft import Draft
from gui.styles import PromptStyle, styled, words_before

__all__ = ["PromptText", "around"]


@dataclass(frozen=True)
class PromptText(Record):
    """The words of a request, as the person typed them."""

    prompt: str
    negative_prompt: str = ""
    styles: tuple[PromptStyle, ...] = ()

    @classmethod
    def of(cls, draft: Draft) -> PromptText:
        """What a draft says, without spaces around it."""
        request = draft.request
        return cls(request.prompt.strip(), request.negative_prompt.strip(), request.styles)

    def put_into(self, draft: Draft) -> Draft:
        """The draft with these words."""
        request = replace(
            draft.request,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            styles=self.styles,
        )
        return replace(draft, request=request)

    @property
    def key(self) -> str:
        """The same for the same words and styles of the same names."""
        said = [self.prompt, self.negative_prompt, *(style.name for style in self.styles)]
        return hashlib.blake2b(records.dumps(said).encode(), digest_size=16).hexdigest()

    @property
    def rest(self) -> str:
        """In words, what there is beside the prompt."""
        parts = [", ".join(style.name for style in self.styles)] if self.styles else []
        parts += [f"Not: {self.negative_prompt}"] if self.negative_prompt else []
        return "  ·  ".join(parts)

    def fits(self, words: list[str], name: str = "") -> bool:
        """Whether all words, in lower case, occur in it or in the name it has."""
        styles = " ".join(style.name for style in self.styles)
        text = f"{name}\n{self.prompt}\n{self.negative_prompt}\n{styles}".casefold()
        return all(word in text for word in words)


def around(
    text: str, styles: tuple[PromptStyle, ...], *, negative: bool = False
) -> tuple[str, int]:
    """What the model reads of a text that is typed, and how many characters of that stand before
    the text; nothing is put around none."""
    if not text.strip() or not styles:
        return text, 0
    whole = styled(text.strip(), text.strip(), styles)[negative]
    before = words_before(styles, negative=negative)
    return whole, before - (len(text) - len(text.lstrip()))
