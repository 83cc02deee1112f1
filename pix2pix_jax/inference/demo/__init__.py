"""The demo: a page in the browser that translates painted and opened images."""
