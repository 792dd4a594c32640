"""Sfumato for assistants: the Model Context Protocol over stdio (`sfumato mcp`).

What an assistant asks for goes into the person's own queue, where the window shows it; pictures
land in the gallery.  It names models, LoRAs and upscalers as they are called here, and pictures by
their number in the gallery or as base64: no path from outside is ever opened.
"""
