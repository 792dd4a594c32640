"""The sheet of one repository: what it is, what it offers, what suits this machine; get it here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QModelIndex, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import ErrorKind, SfumatoError
from gui.state import describe, desktop
from gui.state.hub.types import DownloadState, ModelKind
from gui.ui.hub.get_bar import GetBar
from gui.ui.hub.header import HubHeader
from gui.ui.hub.variant_list import VariantFacts, VariantList
from gui.ui.settings.account_section import SignInDialog
from gui.ui.widgets.controls import label
from gui.ui.widgets.icons import icon
from gui.ui.widgets.questions import cancel_download

if TYPE_CHECKING:
    from gui.state.hub.state import HubState
    from gui.state.hub.types import DownloadStatus, ModelSummary, RepoDetails, Variant

SIZE = QSize(760, 580)
MAX_NOTES = 3
"""On the whole, above the variants; the first ones matter most."""
GATED = (
    "Its maker asks you to accept terms on the model’s page before it can be downloaded, "
    "with the account you sign in with here."
)


class HubDetail(QDialog):
    """Bound to a `HubState`; one repository at a time.

    Args:
        hub: what the Hub says.
        parent: the window it lies over.
    """

    use_requested = Signal(str)
    """Folder of an installed model that the person wants to use."""
    trash_requested = Signal(str)
    """Folder of an installed ControlNet, LoRA or upscaler that is to go."""
    convert_requested = Signal(str)
    """``owner/name`` of a repository without anything ready to run."""
    failed = Signal(SfumatoError)

    def __init__(self, hub: HubState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hub = hub
        self.models: Callable[[], Iterable[tuple[str, Any]]] = tuple
        """Name and facts of the installed models, of which some may fit what is shown."""
        self.repo = ""
        self._details: RepoDetails | None = None
        self._picture = ""
        self._error: SfumatoError | None = None
        self._refused: dict[str, SfumatoError] = {}
        self._arriving: set[str] = set()
        self._filling = False
        self._chosen_by_hand = False
        self._picture_asked = False
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setObjectName("sheet")
        self.header = HubHeader()
        self.variants = VariantList()
        self.facts = VariantFacts()
        self.refiner = QCheckBox("With the refiner")
        self.refiner.setToolTip("It makes the last steps of a picture; choose it under Advanced.")
        self.bar = GetBar()
        self._make_gate()
        self._make_message()
        self._lay_out()
        self._connect()
        self.resize(SIZE)
        self.setMinimumSize(620, 480)

    # -- construction -------------------------------------------------------------------------

    def _make_gate(self) -> None:
        self.gate = QFrame()
        self.gate.setObjectName("offline")
        mark = QLabel()
        mark.setPixmap(icon("lock", tone="secondary").pixmap(18, 18))
        self.gate_text = label(GATED, "small", wrap=True)
        self.accept_terms = QPushButton("Open the Page")
        self.accept_terms.setAccessibleName("Open the model’s page to accept its terms")
        self.sign_in = QPushButton("Sign In…")
        row = QHBoxLayout(self.gate)
        row.setContentsMargins(10, 6, 6, 6)
        row.setSpacing(8)
        row.addWidget(mark)
        row.addWidget(self.gate_text, 1)
        for button in (self.accept_terms, self.sign_in):
            button.setAutoDefault(False)
            row.addWidget(button)

    def _make_message(self) -> None:
        self.message = QWidget()
        self.message_text = label("", "secondary", wrap=True)
        self.message_text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.retry = QPushButton("Try Again")
        self.convert = QPushButton("Convert a Model Instead…")
        column = QVBoxLayout(self.message)
        column.setContentsMargins(80, 20, 80, 20)
        column.setSpacing(10)
        column.addStretch(2)
        column.addWidget(self.message_text)
        for button in (self.retry, self.convert):
            button.setAutoDefault(False)
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(3)

    def _lay_out(self) -> None:
        offer = QWidget()
        row = QHBoxLayout(offer)
        row.setContentsMargins(14, 8, 8, 8)
        row.setSpacing(0)
        left = QVBoxLayout()
        left.setSpacing(4)
        left.addWidget(self.variants, 1)
        left.addWidget(self.refiner)
        row.addLayout(left, 10)
        row.addWidget(self.facts, 8)
        self.stack = QStackedWidget()
        self.stack.addWidget(offer)
        self.stack.addWidget(self.message)
        self._offer = offer
        gate_row = QHBoxLayout()
        gate_row.setContentsMargins(18, 0, 18, 10)
        gate_row.addWidget(self.gate)
        # Of the whole: remembered only, not all of it looked into …
        self.notes = label("", "small", wrap=True)
        self.notes.setContentsMargins(20, 0, 20, 10)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addLayout(gate_row)
        column.addWidget(self.notes)
        column.addWidget(_line())
        column.addWidget(self.stack, 1)
        column.addWidget(_line())
        column.addWidget(self.bar)

    def _connect(self) -> None:
        hub, bar = self._hub, self.bar
        self.variants.selectionModel().currentChanged.connect(self._on_chosen)
        self.refiner.toggled.connect(lambda _: self._on_chosen(QModelIndex()))
        self.header.open_page.clicked.connect(self._open_page)
        self.accept_terms.clicked.connect(self._open_page)
        self.sign_in.clicked.connect(self._sign_in)
        self.retry.clicked.connect(self._retry)
        self.convert.clicked.connect(lambda: self.convert_requested.emit(self.repo))
        bar.get_requested.connect(self._get)
        bar.pause_requested.connect(lambda: self._with_download(hub.downloads.pause))
        bar.resume_requested.connect(lambda: self._with_download(hub.downloads.resume))
        bar.cancel_requested.connect(self._cancel)
        bar.use_requested.connect(self._use)
        bar.update_requested.connect(self._update)
        bar.trash_requested.connect(self._trash)
        bar.close_button.clicked.connect(self.reject)
        hub.details_changed.connect(self._on_details)
        hub.details_failed.connect(self._on_failed)
        hub.picture_changed.connect(self._on_picture)
        hub.catalogue.row_changed.connect(self._on_row)
        hub.downloads.changed.connect(self._on_download)
        hub.downloads.refused.connect(self._on_refused)
        hub.downloads.error_raised.connect(self._on_download_error)
        hub.updates_changed.connect(self._refresh_bar)
        hub.free_bytes_changed.connect(self._refresh_bar)
        hub.account.changed.connect(lambda _: self._show_gate())

    # -- showing a repository -----------------------------------------------------------------

    def show_repo(self, repo: str) -> None:
        """Show a repository and open the sheet."""
        self.repo = repo
        self._error = None
        self._refused.clear()
        self._arriving.clear()
        self._chosen_by_hand = False
        self._details = self._hub.details(repo)
        self.setWindowTitle(repo.partition("/")[2] or repo)
        summary = self._hub.summary(repo)
        row = self._hub.catalogue.row(repo)
        self._picture = row.picture if row is not None else ""
        self.header.set_summary(summary, repo, self._picture)
        self._picture_asked = False
        self._want_picture(summary)
        self._filling = True
        self.variants.variants.set_variants(())
        self._filling = False
        self._show_details()
        self._hub.want_free_bytes()
        self._hub.want_details(repo)
        self.open()

    def _want_picture(self, summary: ModelSummary | None) -> None:
        """Ask for the picture once, as soon as it is known what to ask for."""
        if summary is not None and not self._picture and not self._picture_asked:
            self._picture_asked = True
            self._hub.want_picture(summary)

    def _show_details(self) -> None:
        details = self._details
        self.header.set_details(details)
        self._show_gate()
        beside = details.notes[:MAX_NOTES] if details is not None and details.variants else ()
        self.notes.setText(" ".join(beside))
        self.notes.setVisible(bool(beside))
        if details is not None and details.variants:
            self._fill(details)
            self.stack.setCurrentWidget(self._offer)
        else:
            self._say_why_not(details)
        self._refresh_bar()

    def _say_why_not(self, details: RepoDetails | None) -> None:
        self._filling = True
        self.variants.variants.set_variants(())  # those of an earlier look are gone
        self._filling = False
        if self._error is not None:
            text = self._error.message
        elif details is not None:
            notes = " ".join(details.notes)
            text = notes or "There is nothing here that Sfumato can run."
        else:
            text = "Reading the list of files…"
        self.message_text.setText(text)
        self.retry.setVisible(self._error is not None)
        convertible = details is not None and details.summary.kind is not ModelKind.LORA
        self.convert.setVisible(convertible and self._error is None)
        self.stack.setCurrentWidget(self.message)

    def _fill(self, details: RepoDetails) -> None:
        """List the variants; what the person chose stays chosen, else the recommended one is:
        reading the files may have changed which that is."""
        before = self.variants.chosen() if self._chosen_by_hand else None
        model = self.variants.variants
        first = model.rowCount() == 0
        self._filling = True
        model.set_variants(tuple(v for v in details.variants if not v.without_refiner))
        row = model.row_of(before.id) if before is not None else -1
        if row < 0 and (known := self._hub.downloads.of(self.repo)) is not None:
            twin = next((v for v in details.variants if v.id == known.variant), None)
            alone = twin.without_refiner if twin is not None else ""
            self.refiner.setChecked(bool(alone))
            row = model.row_of(alone or known.variant)
        if row < 0 and details.recommended is not None:
            row = model.row_of(details.recommended.id)
        self.variants.setCurrentIndex(model.index(max(0, row)))
        self._filling = False
        if first:  # later, the person may be elsewhere
            self.variants.setFocus()

    def _show_gate(self) -> None:
        summary = self._details.summary if self._details else self._hub.summary(self.repo)
        gated = summary is not None and bool(summary.gated)
        failed = self._hub.downloads.of(self.repo)
        errors = (*self._refused.values(), self._error, failed.error if failed else None)
        denied = any(e is not None and e.kind is ErrorKind.ACCESS for e in errors)
        self.gate.setVisible(gated or denied)
        self.sign_in.setVisible(not self._hub.account.account.signed_in)
        if (gated or denied) and not self._hub.account.known and not self._hub.account.busy:
            self._hub.account.refresh()

    def library_read(self) -> None:
        """The library knows by now what was installed."""
        self._arriving.clear()
        self._refresh_bar()

    # -- the chosen variant -------------------------------------------------------------------

    @property
    def chosen(self) -> Variant | None:
        """The variant of the row, with its refiner where that is wanted."""
        alone = self.variants.chosen()
        return (self._with_refiner(alone) if self.refiner.isChecked() else None) or alone

    def _with_refiner(self, alone: Variant | None) -> Variant | None:
        there = self._details.variants if self._details is not None else ()
        return next((v for v in there if alone is not None and v.without_refiner == alone.id), None)

    def _show_refiner(self) -> None:
        """Whether there is one to be had, and how much it is."""
        alone = self.variants.chosen()
        both = self._with_refiner(alone)
        self.refiner.setVisible(both is not None)
        if alone is not None and both is not None:
            more = words.size(both.download_bytes - alone.download_bytes)
            self.refiner.setText(f"With the refiner (+{more})")

    def _on_chosen(self, _index: QModelIndex) -> None:
        if not self._filling and self.chosen is not None:
            self._chosen_by_hand = True
        self._show_refiner()
        chosen = self.chosen
        fits = describe.fitting(chosen, self.models()) if chosen is not None else ""
        self.facts.set_variant(chosen, fits)
        self._refresh_bar()

    def _refresh_bar(self, *_: object) -> None:
        if not self.repo:
            return
        variant, downloads = self.chosen, self._hub.downloads
        there = self._details.variants if self._details is not None else ()
        ids = frozenset(
            v.without_refiner or v.id for v in there if self._hub.installed_folder(self.repo, v.id)
        )
        if ids != self.variants.variants.installed:
            self.variants.variants.set_installed(ids)
        folder = self._hub.installed_folder(self.repo, variant.id) if variant else ""
        self.bar.present(
            variant,
            downloads.of(self.repo, variant.id) if variant else None,
            installed=bool(folder),
            starting=bool(variant) and downloads.is_starting(self.repo, variant.id),
            free_bytes=self._hub.free_bytes,
            arriving=variant is not None and variant.id in self._arriving,
            update=bool(folder) and bool(self._hub.update_of(folder)),
            error=self._refused.get(variant.id) if variant else None,
        )

    def _get(self) -> None:
        variant = self.chosen
        if variant is not None and self._details is not None:
            self._refused.pop(variant.id, None)
            self._hub.downloads.start(self.repo, variant.id, self._details.revision)
            self._refresh_bar()

    def _with_download(self, act) -> None:  # type: ignore[no-untyped-def]
        variant = self.chosen
        status = self._hub.downloads.of(self.repo, variant.id) if variant is not None else None
        if variant is not None and status is not None:
            self._refused.pop(variant.id, None)
            act(status.id)

    def _cancel(self) -> None:
        variant, downloads = self.chosen, self._hub.downloads
        status = downloads.of(self.repo, variant.id) if variant is not None else None
        if status is not None:
            cancel_download(self, status, lambda: downloads.cancel(status.id))

    def _update(self) -> None:
        variant = self.chosen
        if variant is not None:
            self._hub.update(self._hub.installed_folder(self.repo, variant.id))

    def _use(self) -> None:
        if folder := self._folder_of_chosen():
            self.accept()
            self.use_requested.emit(folder)

    def _trash(self) -> None:
        if folder := self._folder_of_chosen():
            self.accept()  # what can be undone is said in the window
            self.trash_requested.emit(folder)

    def _folder_of_chosen(self) -> str:
        variant = self.chosen
        return self._hub.installed_folder(self.repo, variant.id) if variant is not None else ""

    # -- what the Hub says --------------------------------------------------------------------

    def _on_details(self, repo: str) -> None:
        details = self._hub.details(repo)
        if repo != self.repo or details is None:
            return
        self._details, self._error = details, None
        self.header.set_summary(details.summary, repo, self._picture)
        self._want_picture(details.summary)
        self._show_details()

    def _on_failed(self, repo: str, error: SfumatoError) -> None:
        # Facts that were read before serve on; only where there are none is the sheet empty.
        if repo == self.repo and self._details is None:
            self._error = error
            self._show_details()

    def _on_picture(self, repo: str, path: str) -> None:
        if repo == self.repo:
            self._picture = path
            self.header.picture.set_picture(self.header.name.whole_text(), path)

    def _on_row(self, repo: str) -> None:
        row = self._hub.catalogue.row(repo)
        if repo == self.repo and row is not None and row.picture not in ("", self._picture):
            self._on_picture(repo, row.picture)

    def _on_download(self, status: DownloadStatus) -> None:
        if status.repo == self.repo:
            self._hub.want_free_bytes()
            if status.state is DownloadState.DONE:
                self._arriving.add(status.variant)
            if status.state is DownloadState.FAILED:
                self._show_gate()
            self._refresh_bar()

    def _on_refused(self, repo: str, variant_id: str, error: SfumatoError) -> None:
        if repo == self.repo:
            self._refused[variant_id] = error
            self._show_gate()
            self._refresh_bar()
            if error.kind is ErrorKind.NOT_FOUND:  # the repository has changed: show what it is now
                self._hub.want_details(repo, fresh=True)

    def _on_download_error(self, error: SfumatoError) -> None:
        """Pausing, going on or cancelling failed: said here too, as the sheet hides the window's
        own place for errors."""
        if self.isVisible() and self.chosen is not None:
            self._refused[self.chosen.id] = error
            self._refresh_bar()

    # -- ways out -----------------------------------------------------------------------------

    def _retry(self) -> None:
        self._error = None
        self._show_details()
        self._hub.want_details(self.repo, fresh=True)

    def _open_page(self) -> None:
        try:
            desktop.open_page(self._hub.page_url(self.repo))
        except SfumatoError as error:
            self.failed.emit(error)

    def _sign_in(self) -> None:
        dialog = SignInDialog(self._hub.account, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(self._after_sign_in)
        dialog.open()

    def _after_sign_in(self) -> None:
        """With an account, what was refused may be allowed."""
        self._refused.clear()
        for status in self._hub.downloads.statuses():
            denied = status.error is not None and status.error.kind is ErrorKind.ACCESS
            if status.repo == self.repo and status.state is DownloadState.FAILED and denied:
                self._hub.downloads.resume(status.id)
        if self._details is None:
            self._retry()
        else:
            self._show_gate()
            self._refresh_bar()


def _line() -> QFrame:
    line = QFrame()
    line.setObjectName("separator")
    return line
