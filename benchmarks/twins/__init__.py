"""Plain twins: the published arithmetic line by line, as the reference implementations do it. Tests compare with them, and
benchmarks time them in the references' place."""
