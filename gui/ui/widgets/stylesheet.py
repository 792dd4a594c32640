"""The style sheet: shapes and spacing here, colours from `gui.ui.widgets.appearance.Palette`."""

from __future__ import annotations

from string import Template

STYLE_SHEET = Template("""
QMainWindow, QDialog { background: $panel; }
QToolTip { background: $overlay; color: $text; border: 1px solid $border; padding: 4px 7px; }

QMenuBar { background: $panel; color: $text; padding: 1px 6px; }
QMenuBar::item { padding: 4px 9px; border-radius: 5px; background: transparent; }
QMenuBar::item:selected { background: $hover; }
QMenu { background: $overlay; color: $text; border: 1px solid $border; border-radius: 8px;
  padding: 5px; }
QMenu::item { padding: 5px 28px 5px 12px; border-radius: 5px; }
QMenu::item:selected { background: $accent; color: $on_accent; }
QMenu::item:disabled { color: $disabled; background: transparent; }
QMenu::separator { height: 1px; background: $border; margin: 5px 10px; }

QToolBar { background: $panel; border: none; border-bottom: 1px solid $border;
  padding: 7px 10px; spacing: 4px; }
QSplitter::handle { background: $border; }

QToolButton { background: transparent; border: none; border-radius: 6px; padding: 5px;
  color: $text; }
QToolButton:hover { background: $hover; }
QToolButton:pressed { background: $pressed; }
QToolButton[ring="true"]:focus { border: 2px solid $accent; padding: 3px; }
QToolButton[active="true"] { background: $accent_soft; }
QToolButton:disabled { color: $disabled; }

QPushButton { background: $field; color: $text; border: 1px solid $border_strong;
  border-radius: 6px; padding: 5px 13px; min-height: 16px; }
QPushButton:hover { background: $hover; }
QPushButton:pressed { background: $pressed; }
QPushButton[ring="true"]:focus { border: 2px solid $accent; padding: 4px 12px; }
QPushButton:disabled { color: $disabled; border-color: $border; background: $panel; }
QPushButton#primary { background: $accent; color: $on_accent; border: 1px solid $accent;
  border-radius: 8px; min-height: 26px; font-weight: 600; font-size: 14px; }
QPushButton#primary:hover { background: $accent_hover; border-color: $accent_hover; }
QPushButton#primary:pressed { background: $accent_pressed; border-color: $accent_pressed; }
QPushButton#primary[ring="true"]:focus { border: 2px solid $text; padding: 4px 12px; }
QPushButton#primary:disabled { background: $groove; border-color: $groove; color: $secondary; }
QPushButton#sheetPrimary { background: $accent; color: $on_accent; border: 1px solid $accent;
  font-weight: 600; }
QPushButton#sheetPrimary:hover { background: $accent_hover; border-color: $accent_hover; }
QPushButton#sheetPrimary:pressed { background: $accent_pressed; border-color: $accent_pressed; }
QPushButton#sheetPrimary[ring="true"]:focus { border: 2px solid $text; }
QPushButton#sheetPrimary:disabled { background: $groove; border-color: $groove;
  color: $secondary; }
QPushButton#chip { background: $overlay; border: 1px solid $border; border-radius: 15px;
  padding: 6px 14px; }
QPushButton#chip:hover { border-color: $accent; color: $accent; }
QPushButton#chip:checked { background: $accent_soft; border-color: $accent; color: $accent; }
QPushButton#chip[ring="true"]:focus { border: 2px solid $accent; padding: 5px 13px; }
QPushButton#toggle { background: $field; border: 1px solid $border; border-radius: 12px;
  padding: 3px 10px; font-size: 12px; }
QPushButton#toggle:hover { background: $hover; }
QPushButton#toggle:checked { background: $accent_soft; border-color: $accent; color: $accent; }
QPushButton#toggle[ring="true"]:focus { border: 2px solid $accent; padding: 2px 9px; }
QPushButton#filterChip { background: $accent_soft; border: 1px solid $accent_soft; color: $text;
  border-radius: 9px; padding: 1px 8px; font-size: 12px; }
QPushButton#filterChip:hover { border-color: $accent; }
QPushButton#filterChip[ring="true"]:focus { border: 2px solid $accent; padding: 0px 7px; }
QPushButton#styleAdd { background: transparent; border: 1px solid $border_strong; color: $secondary;
  border-radius: 9px; padding: 1px 8px; font-size: 12px; }
QPushButton#styleAdd[round="true"] { padding: 1px 5px; min-width: 12px; }
QPushButton#styleAdd:hover { border-color: $accent; color: $text; }
QPushButton#styleAdd[ring="true"]:focus { border: 2px solid $accent; padding: 0px 7px; }
QPushButton#styleAdd[round="true"][ring="true"]:focus { padding: 0px 4px; }
QPushButton#segment { background: transparent; border: 1px solid transparent; border-radius: 6px;
  padding: 3px 6px; color: $secondary; }
QPushButton#segment:hover { color: $text; }
QPushButton#segment:checked { background: $raised; border-color: $border; color: $text;
  font-weight: 600; }
QPushButton#segment[ring="true"]:focus { border: 2px solid $accent; padding: 2px 5px; }
QFrame#segments { background: $pressed; border: none; border-radius: 8px; }
QFrame#popover { background: $overlay; border: 1px solid $border_strong; }
QFrame#card { background: $field; border: 1px solid $border; border-radius: 10px; }
QFrame#branch { background: $accent_soft; border: none; border-radius: 8px; }
QFrame#offline { background: $hover; border: none; border-radius: 8px; }
QPushButton#flat { background: transparent; border: 1px solid transparent; color: $accent;
  padding: 3px 7px; text-align: left; }
QPushButton#flat:hover { background: $hover; }
QPushButton#flat[ring="true"]:focus { border: 2px solid $accent; padding: 2px 6px; }
QPushButton#flat:disabled { color: $disabled; }
QPushButton#pullDown { background: transparent; border: 1px solid transparent; color: $secondary;
  padding: 3px 4px 3px 7px; font-size: 12px; }
QPushButton#pullDown:hover { background: $hover; color: $text; }
QPushButton#pullDown[ring="true"]:focus { border: 2px solid $accent; padding: 2px 3px 2px 6px; }
QPushButton#link { background: transparent; border: 1px solid transparent; color: $accent;
  padding: 2px 12px 2px 0px; font-size: 12px; text-align: left; }
QPushButton#link:hover { text-decoration: underline; }
QPushButton#link[ring="true"]:focus { border-bottom: 2px solid $accent; padding: 2px 12px 1px 0px; }
QPushButton#section { background: transparent; border: 1px solid transparent;
  padding: 4px 4px 4px 0px; text-align: left; font-weight: 600; color: $text; }
QPushButton#section:hover { background: $hover; }
QPushButton#section[ring="true"]:focus { border: 2px solid $accent; padding: 3px 3px 3px 0px; }

QLineEdit, QPlainTextEdit, QTextEdit, QSpinBox, QDoubleSpinBox, QDateEdit {
  background: $field; color: $text;
  border: 1px solid $border; border-radius: 6px; selection-background-color: $accent;
  selection-color: $on_accent; placeholder-text-color: $secondary; }
QLineEdit { padding: 4px 7px; }
QPlainTextEdit, QTextEdit { padding: 3px 4px; border-radius: 8px; }
QSpinBox, QDoubleSpinBox, QDateEdit { padding: 3px 5px; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus {
  border: 2px solid $accent; }
QLineEdit:focus { padding: 3px 6px; }
QPlainTextEdit:focus, QTextEdit:focus { padding: 2px 3px; }
QSpinBox:focus, QDoubleSpinBox:focus { padding: 2px 4px; }
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled { color: $disabled; }

QComboBox { background: $field; color: $text; border: 1px solid $border; border-radius: 6px;
  padding: 4px 26px 4px 9px; min-height: 17px; combobox-popup: 0; }
QComboBox:hover { background: $hover; }
QComboBox[ring="true"]:focus { border: 2px solid $accent; padding: 3px 25px 3px 8px; }
QComboBox:disabled { color: $disabled; }
QComboBox#compact { padding: 3px 22px 3px 8px; font-size: 12px; }
QComboBox#compact[ring="true"]:focus { padding: 2px 21px 2px 7px; }
QComboBox::drop-down { border: none; width: 0px; }
QComboBox::down-arrow { image: none; width: 0px; }
QComboBox QAbstractItemView { background: $overlay; color: $text; border: 1px solid $border;
  outline: none; padding: 4px; selection-background-color: $accent;
  selection-color: $on_accent; }

QSlider { min-height: 20px; }
QSlider::groove:horizontal { height: 4px; border-radius: 2px; background: $groove; }
QSlider::sub-page:horizontal { height: 4px; border-radius: 2px; background: $accent; }
QSlider::sub-page:horizontal:disabled { background: $groove; }
QSlider::handle:horizontal { width: 14px; height: 14px; margin: -6px 0px; border-radius: 8px;
  background: $knob; border: 1px solid $border_strong; }
QSlider[ring="true"]::handle:horizontal:focus { border: 2px solid $accent; width: 14px;
  margin: -6px 0px; }
QSlider::handle:horizontal:disabled { background: $panel; border-color: $border; }

QProgressBar { background: $groove; border: none; border-radius: 2px; max-height: 4px;
  min-height: 4px; }
QProgressBar::chunk { background: $accent; border-radius: 2px; }

QListView { background: transparent; border: none; outline: none; }
QListView#sheetList { background: $field; border: 1px solid $border; border-radius: 8px;
  padding: 4px; }
QListView#sheetList::item { padding: 5px 7px; border-radius: 5px; color: $text; }
QListView#sheetList::item:selected { background: $accent_soft; color: $text; }
QListView#sheetList:focus { border-color: $accent; }
QScrollArea, QScrollArea > QWidget > QWidget#scrolled { background: transparent; border: none; }
QAbstractScrollArea::corner { background: transparent; border: none; }
QScrollBar { background: transparent; border: none; }
QScrollBar:vertical { width: 10px; }
QScrollBar:horizontal { height: 10px; }
QScrollBar::handle { background: $groove; border-radius: 3px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 32px; }
QScrollBar::handle:horizontal { min-width: 32px; }
QScrollBar::handle:hover { background: $border_strong; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0px; height: 0px; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }

QLabel { background: transparent; color: $text; }
QLabel:disabled { color: $disabled; }
QLabel#heading { font-weight: 600; font-size: 13px; }
QLabel#sheetTitle { font-weight: 600; font-size: 18px; }
QLabel#title { font-weight: 600; font-size: 22px; }
QLabel#secondary { color: $secondary; }
QLabel#small { color: $secondary; font-size: 12px; }
QLabel#problem { color: $error; font-size: 12px; }
QLabel#good { color: $good; font-size: 12px; }
QLabel#warning { color: $warning; font-size: 12px; }
QLabel#difference { background: $accent_soft; font-size: 12px; border-radius: 8px;
  padding: 1px 8px; }
QLabel#statement { font-weight: 600; }

QFrame#panel { background: $panel; border: none; }
QFrame#canvasColumn { background: $canvas; border: none; }
QFrame#separator { background: $border; border: none; max-height: 1px; min-height: 1px; }
QFrame#taskStrip { border-top: 1px solid $border; }
QFrame#hud { background: $overlay; border: 1px solid $border; border-radius: 12px; }
QFrame#toolStrip { background: $overlay; border: 1px solid $border; border-radius: 10px; }
QToolButton[tool="true"]:checked { background: $accent_soft; }
QFrame#toolOptions { background: $overlay; border: 1px solid $border; border-radius: 10px; }
QFrame#toast { background: $overlay; border: 1px solid $border; border-radius: 15px; }
QFrame#notice { background: $overlay; border: 1px solid $border; border-radius: 10px; }
QFrame#error { background: $error_soft; border: 1px solid $error; border-radius: 10px; }
QFrame#error QPushButton { background: transparent; }
QFrame#convertStrip { background: $panel; border: none; border-top: 1px solid $border; }
QFrame#queuePanel { background: $panel; border: 1px solid $border; border-top: none;
  border-right: none; }
QFrame#editBar { background: $accent_soft; border: none; border-bottom: 1px solid $border; }
QFrame#filmstrip { background: $panel; border: none; border-top: 1px solid $border; }
""")
