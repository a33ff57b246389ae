"""Five patterns, each a file to read, run and copy: `python -m examples.chain`."""
