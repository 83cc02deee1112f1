"""HTML pages that a browser opens from disk; `page.py` has the parts that all pages share."""
