def write_gallery(workdir, summary): pass
