"""Light and dark: the colours, the palette and the style sheet made from them.

Colours live in `gui.ui.widgets.palette`; nothing else names one.  The system's colour scheme is
followed unless the person chose otherwise.  Qt's own `setColorScheme` does nothing on platforms
without a theme, so the choice is kept here and applied as palette and style sheet.
"""

from __future__ import annotations

import sys

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication

from gui import paths
from gui.ui.widgets.focus import FocusRings
from gui.ui.widgets.palette import DARK, LIGHT, Palette
from gui.ui.widgets.stylesheet import STYLE_SHEET

BODY_PX = 13
"""Size of body text in device-independent pixels, that of macOS controls."""


class Appearance(QObject):
    """Applies light or dark to the application and says so when it changes.

    Args:
        app: the application whose palette, font and style sheet are set.
        choice: ``system``, ``light`` or ``dark``.
    """

    changed = Signal()

    def __init__(self, app: QApplication, choice: str = "system") -> None:
        super().__init__(app)
        self._app = app
        self._choice = choice
        self._palette: Palette | None = None
        load_fonts()
        app.setStyle("Fusion")
        app.setFont(body_font())
        app.styleHints().colorSchemeChanged.connect(self._apply)
        self._rings = FocusRings(app, self)
        self._apply()

    @property
    def palette(self) -> Palette:
        assert self._palette is not None
        return self._palette

    def set_choice(self, choice: str) -> None:
        """``system``, ``light`` or ``dark``; on macOS the title bar and sheets follow too."""
        self._choice = choice
        schemes = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
        self._app.styleHints().setColorScheme(schemes.get(choice, Qt.ColorScheme.Unknown))
        self._apply()

    def _wants_dark(self) -> bool:
        if self._choice in ("light", "dark"):
            return self._choice == "dark"
        return self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark

    def _apply(self) -> None:
        palette = DARK if self._wants_dark() else LIGHT
        if palette is self._palette:
            return
        self._palette = palette
        self._app.setPalette(make_palette(palette))
        for name in ("QCheckBox", "QRadioButton"):
            # The stub says bytes; PySide takes text alone.
            self._app.setPalette(box_palette(palette), name)  # type: ignore[arg-type]
        self._app.setStyleSheet(STYLE_SHEET.substitute(palette._asdict()))
        self.changed.emit()


def current_palette() -> Palette:
    """The colours in force, for widgets that paint themselves."""
    app = QApplication.instance()
    dark = isinstance(app, QApplication) and is_dark_palette(app.palette())
    return DARK if dark else LIGHT


def is_dark_palette(qt_palette: QPalette) -> bool:
    return qt_palette.color(QPalette.ColorRole.Window).lightness() < 128


def make_palette(palette: Palette) -> QPalette:
    """A palette for everything the style sheet does not reach."""
    qt_palette = QPalette()
    role = QPalette.ColorRole
    colours = {
        role.Window: palette.panel,
        role.WindowText: palette.text,
        role.Base: palette.field,
        role.AlternateBase: palette.panel,
        role.Text: palette.text,
        role.PlaceholderText: palette.secondary,
        role.Button: palette.field,
        role.ButtonText: palette.text,
        role.BrightText: palette.error,
        role.Highlight: palette.accent,
        role.HighlightedText: palette.on_accent,
        role.Link: palette.accent,
        role.LinkVisited: palette.accent,
        role.ToolTipBase: palette.overlay,
        role.ToolTipText: palette.text,
        role.Accent: palette.accent,
        role.Mid: palette.border,
        role.Light: palette.field,
        role.Dark: palette.border_strong,
        role.Shadow: palette.border_strong,
    }
    for which, colour in colours.items():
        qt_palette.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        qt_palette.setColor(QPalette.ColorGroup.Disabled, which, QColor(palette.disabled))
    return qt_palette


def box_palette(palette: Palette) -> QPalette:
    """That of boxes to tick and round buttons: Fusion draws their edges in a darker shade of the
    window's colour, which in the dark appearance nobody sees.  They paint no window."""
    qt_palette = make_palette(palette)
    group, role = QPalette.ColorGroup, QPalette.ColorRole.Window
    qt_palette.setColor(role, QColor(palette.outline).lighter(140))
    qt_palette.setColor(group.Disabled, role, QColor(palette.border_strong).lighter(140))
    return qt_palette


def load_fonts() -> None:
    """Register the shipped typeface; macOS has its own and keeps it."""
    if sys.platform == "darwin":
        return
    for name in ("Inter-Regular.ttf", "Inter-SemiBold.ttf"):
        file = paths.resource("fonts") / name
        if file.is_file():
            QFontDatabase.addApplicationFont(str(file))


def body_font() -> QFont:
    """The system's font on macOS, the shipped one elsewhere, at body size."""
    if sys.platform == "darwin":
        return QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)
    font = QFont("Inter")
    font.setPixelSize(BODY_PX)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return font


def sized_font(pixels: int, *, bold: bool = False) -> QFont:
    """The body font at another size; `bold` is the half-bold weight used for headings."""
    font = QApplication.font()
    font.setPixelSize(pixels)
    font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    return font
