"""The command line: a file for each command, with its flags and the function that runs it."""
