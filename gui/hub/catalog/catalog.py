"""The Hub's catalogue: search, models, file trees, cards, pictures, and who is signed in.

Answers are remembered, so that what was seen once can be looked at again without a connection.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gui import paths
from gui.errors import ErrorKind, SfumatoError
from gui.hub.catalog import listing, pictures
from gui.hub.catalog.card import MAX_CARD, Card, read_card
from gui.hub.catalog.listing import passes
from gui.hub.catalog.response_cache import Memory
from gui.hub.catalog.search import SearchPlace, remembered, search_page
from gui.hub.errors import BadTokenError, translate
from gui.hub.session import accept, endpoint_or_default, get_bytes, get_json
from gui.hub.types import (
    Account,
    ModelSummary,
    RemoteFile,
    RepoTree,
    SearchPage,
    SearchQuery,
)
from gui.names import is_address, parse_repository, repository_page

__all__ = ["Card", "Catalog", "passes"]

MAX_FILES = 200_000
"""Files of a repository that are listed; no model has nearly as many."""

MAX_PAGES = 2000
"""Of a list of files; the Hub puts up to a thousand on one."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


class Catalog:
    """The Hub, read-only.  Safe to use from several threads.

    Args:
        endpoint: base address; None: HF_ENDPOINT, else huggingface.co.
        token: the person's access token; None: anonymous.  May be set later.
        cache: folder for what is remembered; None: the user's cache folder.
    """

    def __init__(
        self, endpoint: str | None = None, token: str | None = None, cache: Path | None = None
    ) -> None:
        self.endpoint = endpoint_or_default(endpoint)
        self.token = token
        self._memory = Memory(cache if cache is not None else paths.cache_dir() / "Hub")

    def close(self) -> None:
        self._memory.close()

    def _get(self, path: str, what: str, **params: str | list[str]) -> tuple[Any, str]:
        url = path if "://" in path else f"{self.endpoint}{path}"
        return get_json(
            url, endpoint=self.endpoint, token=self.token, what=what, params=params or None
        )

    def _bytes(self, url: str, limit: int, what: str) -> bytes:
        return get_bytes(url, endpoint=self.endpoint, token=self.token, limit=limit, what=what)

    # Search

    def search(self, query: SearchQuery, cursor: str = "") -> SearchPage:
        """One page of results; about thirty, though it may be empty with more to come.

        Text, author, sort and licence are the Hub's work; for the other filters see `passes`.
        Without a connection: what the same search gave before, or models seen before.

        Raises:
            SfumatoError: NETWORK where nothing is remembered either; ACCESS; BAD_REQUEST (cursor).
        """
        place = SearchPlace.parse(cursor, self.endpoint)
        try:
            models, following = search_page(query, place, self.endpoint, self.token)
        except SfumatoError as error:
            if error.kind is not ErrorKind.NETWORK:
                raise
            page = self._recall(query, cursor, error)
            if page is None:
                raise
            return page
        page = SearchPage(tuple(models), following.cursor() if following else "")
        self._memory.see(models)
        self._memory.put("page", self._key(query, cursor), page.to_json())
        return page

    def _key(self, query: SearchQuery, cursor: str) -> str:
        words = " ".join(query.text.lower().split())
        parts = (self.endpoint, words, query.author, query.sort, query.licence, cursor,
                 " ".join(k for k in ("controlnet", "lora", "other") if k in query.kinds),
                 "only" if query.kinds == ("lora",) else "")  # fmt: skip
        return "\n".join(parts)

    def _recall(self, query: SearchQuery, cursor: str, reason: SfumatoError) -> SearchPage | None:
        """Remembered results of this search, or of everything ever seen."""
        known = self._memory.record(SearchPage, "page", self._key(query, cursor))
        if known is not None:
            page, seen = known
            more = page.cursor and self._memory.get("page", self._key(query, page.cursor))
            return SearchPage(page.models, page.cursor if more else "", seen, reason)
        if cursor:
            return None
        models, seen = self._memory.models()
        return SearchPage(tuple(remembered(query, models)), "", seen, reason) if models else None

    def look_for(self, query: SearchQuery, cursor: str = "") -> tuple[SearchPage, str]:
        """As `search`; but where the text names one repository, that one alone, whatever the
        filters.

        Returns:
            The results, and ``owner/name`` where the text named one.

        Raises:
            SfumatoError: as `search`; BAD_REQUEST for an address that is not a model's.
        """
        repo = parse_repository(query.text) if not cursor else None
        if repo is None:
            if is_address(query.text):
                raise _no_model(query.text)
            return self.search(query, cursor), ""
        try:
            return self._only(repo), repo
        except SfumatoError as error:
            # `owner/name` may also be words to search for; an address is only an address.
            if error.kind not in (ErrorKind.NOT_FOUND, ErrorKind.NETWORK) or is_address(query.text):
                raise
            page = self.search(query)
            if not page.models:
                raise
            return page, ""

    def _only(self, repo: str) -> SearchPage:
        """One repository as a page of results."""
        try:
            return SearchPage((self._ask_for(repo),))
        except SfumatoError as error:
            known = self._known(repo) if error.kind is ErrorKind.NETWORK else None
            if known is None:
                raise
            return SearchPage((replace(known[0], remembered=error.message),), "", known[1], error)

    def summary(self, repo: str) -> ModelSummary:
        """One repository by name, as a search would list it.

        Raises:
            SfumatoError: NOT_FOUND, ACCESS, NETWORK (and never seen before).
        """
        return self._only(repo).models[0]

    def _ask_for(self, repo: str) -> ModelSummary:
        data = self._bare_or_main(repo, "", expand=list(listing.EXPAND))
        found = listing.summary(data, self.endpoint)
        if found is None:
            raise _nonsense(repo, data)
        self._memory.see([found])
        if found.id != repo:
            self._memory.put("renamed", repo.lower(), found.id)
        return found

    def _known(self, repo: str) -> tuple[ModelSummary, str] | None:
        """What is remembered of a repository, also by a name that it had."""
        renamed = self._memory.get("renamed", repo.lower())
        present = str(renamed[0]) if renamed is not None else repo
        return self._memory.model(present) or self._memory.model(repo)

    # One repository

    def tree(self, repo: str, revision: str = "") -> RepoTree:
        """All files at one commit.  Paths that could leave a folder are left out.

        Args:
            revision: branch, tag or commit hash; empty: the main branch's newest commit.

        Raises:
            SfumatoError: NOT_FOUND, ACCESS, NETWORK (and not remembered).
        """
        try:
            commit = revision if _COMMIT.fullmatch(revision) else self._commit(repo, revision)
        except SfumatoError as error:
            known = self._memory.get("tree", f"{repo}@{revision}")
            if error.kind is not ErrorKind.NETWORK or known is None:
                raise
            commit = str(known[0])
        remembered_tree = self._memory.record(RepoTree, "tree", f"{repo}@{commit}")
        if remembered_tree is not None:
            return remembered_tree[0]
        tree = RepoTree(repo, commit, tuple(self._files(repo, commit)))
        self._memory.put("tree", f"{repo}@{commit}", tree.to_json())
        if revision != commit:
            self._memory.put("tree", f"{repo}@{revision}", commit)
        return tree

    def _commit(self, repo: str, revision: str) -> str:
        data = self._bare_or_main(repo, revision, expand=["sha"])
        commit = data.get("sha") if isinstance(data, dict) else None
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise _nonsense(repo, data)
        return commit

    def _bare_or_main(self, repo: str, revision: str, **params: Any) -> Any:
        """What the Hub says of a repository.  Mirrors that only serve huggingface_hub's downloads
        know it by its branch alone and refuse it without one."""
        bare = f"/api/models/{_quoted(repo)}"
        if revision:
            return self._get(f"{bare}/revision/{quote(revision, safe='')}", repo, **params)[0]
        try:
            return self._get(bare, repo, **params)[0]
        except SfumatoError as refused:
            if refused.kind not in (ErrorKind.ACCESS, ErrorKind.NOT_FOUND):
                raise
            try:
                return self._get(f"{bare}/revision/main", repo, **params)[0]
            except SfumatoError:
                raise refused from None

    def _files(self, repo: str, commit: str) -> list[RemoteFile]:
        found: list[RemoteFile] = []
        data, following = self._get(
            f"/api/models/{_quoted(repo)}/tree/{commit}", repo, recursive="true", expand="false"
        )
        for _ in range(MAX_PAGES):
            if not isinstance(data, list):
                raise _nonsense(repo, data)
            found.extend(listing.files(data))
            if not following or len(found) > MAX_FILES:
                return found
            data, following = self._get(following, repo)
        raise _nonsense(repo, f"more than {MAX_PAGES} pages of files")

    def card(self, repo: str, revision: str) -> Card:
        """What the model card says; empty where there is none.

        Raises:
            SfumatoError: ACCESS, NETWORK (and not remembered).
        """
        known = self._memory.record(Card, "card", f"{repo}@{revision}") if revision else None
        if known is not None:
            return known[0]
        url = f"{self.endpoint}/{_quoted(repo)}/resolve/{quote(revision or 'main', safe='')}"
        try:
            data = self._bytes(f"{url}/README.md", MAX_CARD, repo)
        except SfumatoError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
            data = b""
        card = read_card(data.decode("utf-8", "replace"), repo, revision, self.endpoint)
        if revision:
            self._memory.put("card", f"{repo}@{revision}", card.to_json())
        return card

    def picture(self, summary: ModelSummary, folder: Path, longest: int = 320) -> Path | None:
        """A small picture of a model as a file in `folder`; None: it has none that can be shown.

        Args:
            longest: width or height, whichever is larger, in pixels.

        Raises:
            SfumatoError: NETWORK, ACCESS, STORAGE.
        """
        url = summary.picture_url or self.card(summary.id, summary.revision).picture_url
        if not url:
            return None
        stem = pictures.picture_path(folder, url, summary.revision, longest)
        if (found := pictures.kept(stem)) is not None:
            return found
        if self._memory.get("no-picture", stem.name) is not None:
            return None
        try:
            data = self._bytes(url, pictures.MAX_BYTES + 1, summary.id)
            scaled = None
            if len(data) <= pictures.MAX_BYTES:
                scaled = pictures.scale(data, stem, longest)
        except SfumatoError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
            scaled = None
        except OSError as error:
            raise translate(error, summary.id) from error
        if scaled is None:
            self._memory.put("no-picture", stem.name, True)
        return scaled

    # The person

    def whoami(self) -> Account:
        """Whose token this is; not signed in, with the problem, where the Hub does not know it.

        Raises:
            SfumatoError: NETWORK.
        """
        if not self.token:
            return Account()
        try:
            data, _ = get_json(
                f"{self.endpoint}/api/whoami-v2",
                endpoint=self.endpoint, token=self.token, what="", strict=True,
            )  # fmt: skip
        except SfumatoError as error:
            if error.kind in (ErrorKind.ACCESS, ErrorKind.NOT_FOUND):
                return Account(problem=BadTokenError().message)
            raise
        name = data.get("name") if isinstance(data, dict) else None
        if not isinstance(name, str) or not name:
            raise _nonsense("", data)
        accept(self.token, self.endpoint)
        return Account(signed_in=True, name=name)


def _quoted(repo: str) -> str:
    return quote(repo, safe="/")


def _no_model(text: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_REQUEST,
        "This is not the address of a model on the Hub; paste one like "
        f"{repository_page('owner/name')}.",
        text[:500],
    )


def _nonsense(repo: str, data: Any) -> SfumatoError:
    return SfumatoError(
        ErrorKind.NETWORK,
        f"The Hub's answer about “{repo}” makes no sense; try again later."
        if repo
        else "The Hub's answer makes no sense; try again later.",
        str(data)[:500],
    )
