"""All that is to be known of one repository before anything of it is downloaded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from gui.errors import SfumatoError
from gui.hub.types import Machine, ModelSummary, RepoDetails, RepoTree
from gui.hub.variants.assembly import looked_into
from gui.hub.variants.loras import find_loras, is_about_loras
from gui.hub.variants.probe import HttpProbe
from gui.hub.variants.variants import find_variants
from gui.hub.variants.verdict import judge


class CardLike(Protocol):
    """What is used of a model card."""

    @property
    def description(self) -> str: ...
    @property
    def base_model(self) -> str: ...
    @property
    def examples(self) -> tuple[str, ...]: ...
    @property
    def triggers(self) -> tuple[str, ...]: ...
    @property
    def picture_url(self) -> str: ...


class CatalogSource(Protocol):
    """What is used of `gui.hub.catalog.catalog.Catalog`."""

    @property
    def endpoint(self) -> str | None: ...
    @property
    def token(self) -> str | None: ...
    def summary(self, repo: str) -> ModelSummary: ...
    def tree(self, repo: str, revision: str = "") -> RepoTree: ...
    def card(self, repo: str, revision: str) -> CardLike: ...


def details(
    catalog: CatalogSource,
    repo: str,
    machine: Machine,
    probe: bool = True,
    cache: Path | None = None,
) -> RepoDetails:
    """Read a repository's file list, card and, where `probe`, a few small files; judge all.

    Args:
        catalog: the Hub.
        repo: ``owner/name``.
        machine: what the verdicts are for.
        probe: look into files; False: their names and sizes must do.
        cache: folder for what was looked at; None: the usual one.

    Raises:
        SfumatoError: NETWORK, ACCESS, NOT_FOUND where not even the list can be had.
    """
    summary = catalog.summary(repo)
    with ThreadPoolExecutor(1, "card") as pool:
        card = pool.submit(catalog.card, repo, summary.revision)
        tree = catalog.tree(repo, summary.revision)
        reader = None
        if probe:
            reader = HttpProbe(
                repo, tree.revision, endpoint=catalog.endpoint, token=catalog.token, cache=cache
            )
        variants, notes = find_variants(tree, reader)
        if not variants and is_about_loras(tree, summary):
            variants, notes = find_loras(tree, summary, reader)
        try:
            text: CardLike | None = card.result()
        except SfumatoError:
            text = None  # a card is nice to have
    if text is not None and not summary.picture_url:
        summary = replace(summary, picture_url=text.picture_url)
    if summary.remembered:
        notes = (f"This is what the Hub said before.  {summary.remembered}", *notes)
    return RepoDetails(
        summary=summary,
        revision=tree.revision,
        variants=judge(variants, machine),
        description=text.description if text else "",
        base_model=text.base_model if text else "",
        examples=text.examples if text else (),
        triggers=summary.triggers or (text.triggers if text else ()),
        notes=notes,
        probed=any(looked_into(v) for v in variants),
    )
