"""The consumer killed (SIGKILL) at any point between receive and acknowledge, by seed."""
