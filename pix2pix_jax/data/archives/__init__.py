"""Archives of pairs: unpacks untrusted tarballs and zip files, and tells other files apart."""
