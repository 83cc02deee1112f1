"""Unpacks untrusted tarballs and zip files of pairs; explains what is wrong with other files."""
