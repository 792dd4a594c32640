"""What is kept of prompts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from gui import records
from gui.records import Record
from gui.state.draft import Draft

__all__ = ["PromptText"]


@dataclass(frozen=True)
class PromptText(Record):
    """The words of a request, as the person typed them."""

    prompt: str
    negative_prompt: str = ""

    @classmethod
    def of(cls, draft: Draft) -> PromptText:
        """What a draft says, without spaces around it."""
        request = draft.request
        return cls(request.prompt.strip(), request.negative_prompt.strip())

    def put_into(self, draft: Draft) -> Draft:
        """The draft with these words."""
        words = {"prompt": self.prompt, "negative_prompt": self.negative_prompt}
        return replace(draft, request=replace(draft.request, **words))

    @property
    def key(self) -> str:
        """The same for the same words."""
        return hashlib.blake2b(records.dumps(self).encode(), digest_size=16).hexdigest()

    @property
    def rest(self) -> str:
        """In words, what there is beside the prompt."""
        return f"Not: {self.negative_prompt}" if self.negative_prompt else ""

    def fits(self, words: list[str], name: str = "") -> bool:
        """Whether all words, in lower case, occur in it or in the name it has."""
        text = f"{name}\n{self.prompt}\n{self.negative_prompt}".casefold()
        return all(word in text for word in words)
