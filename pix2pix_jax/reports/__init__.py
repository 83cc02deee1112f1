"""Pages that open from disk: data in, HTML out."""
