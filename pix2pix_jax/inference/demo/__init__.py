"""The demo: a page in the browser that translates what is painted or opened."""
