"""Reference pages made from the code: `make reference` writes them, and a test holds them to it."""
