"""Planted bugs: what the suite must catch, each as an exact change of the product's text.

``python -m tests.mutants`` plants them one by one in a copy of the source and runs the tests that
ought to see them. A bug that no test sees is a hole in the suite.
"""
