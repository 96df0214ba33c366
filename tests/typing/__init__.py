"""Files that are only read by type checkers, and the test that has them read."""
