"""HTML pages that open from disk: a file for each page, and what they share in `page.py`."""
