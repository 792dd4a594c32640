"""Every widget of Sfumato.  Widgets bind to `gui.state` and know nothing below it."""
