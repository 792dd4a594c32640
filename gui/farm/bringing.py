"""Models and networks on their way to members that lack them, as a person or a member's own setting
has allowed."""

from __future__ import annotations

import logging

from gui.farm import wire
from gui.farm.board import Board, Copying, Member, has

log = logging.getLogger(__name__)


class Bringing:
    """Args:
    board: what is known; answers to offers are kept there.
    """

    def __init__(self, board: Board) -> None:
        self._board = board

    def allow(self, event: wire.Allow, *, by_itself: bool = False) -> None:
        """Somebody says that something may be brought to a member, or not.

        Args:
            by_itself: it is the member's own setting that says so.
        """
        member = self._board.members.get(event.member)
        need, _ = self._board.needs().get(event.model, (None, ()))
        if member is None or not member.here or need is None or has(member, need):
            return
        if event.how == "no":
            self._board.answers[member.id, event.model] = Copying("no")
            return
        have = self._board.sources(need)
        source = have[0].id if have and event.how == "copy" else ""
        if not source and not need.repo:
            return
        self._board.answers[member.id, event.model] = Copying("copying")
        member.send(
            wire.FetchModel(
                need.hash, need.name, source, need.repo, need.revision, need.variant, need.kind,
                need.bytes, by_itself,
            )
        )  # fmt: skip

    def by_itself(self) -> bool:
        """Have members bring what they lack, as far as their own settings let them; whether one
        does now.  Never raises."""
        begun = False
        try:
            if any(m.hello is not None and m.hello.brings for m in self._board.members.values()):
                for offer in self._board.offers():
                    hello = self._board.members[offer.member].hello
                    small = hello is not None and 0 < offer.bytes <= hello.brings
                    if small and offer.source and not offer.state:
                        self.allow(wire.Allow(offer.member, offer.model, "copy"), by_itself=True)
                        begun = True
        except Exception:
            log.debug("nothing is brought", exc_info=True)
        return begun

    def received(self, member: Member, event: wire.Received) -> None:
        """How far a copy is."""
        answer = self._board.answers.get((member.id, event.model))
        if answer is not None:
            answer.done = event.done
            if event.error is not None:
                answer.state, answer.error = "failed", event.error.message

    def arrived(self, member: Member, event: wire.Stock) -> None:
        """A member has this now."""
        for found in (*(n.sha256 for n in event.networks), *(m.hash for m in event.models)):
            self._board.answers.pop((member.id, found), None)

    def gone(self, member: Member) -> None:
        """A member is away: its copies go on where they were when they are allowed again."""
        for key, answer in list(self._board.answers.items()):
            if key[0] == member.id and answer.state == "copying":
                del self._board.answers[key]
