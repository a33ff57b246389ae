"""The rules a run keeps: options that inherit down the tree, retries, limits. Knows no event loop, no HTTP, no graph."""
