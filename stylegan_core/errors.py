"""Typed errors. Every message is one sentence: what was found, what was expected, what to do."""


MAX_MESSAGE = 1500


def printable(text: str) -> str:
    """What would move a terminal, or is no character, spelled out: names of files and widgets may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """A sentence on one printable line of bounded length."""
    line = printable(" ".join(text[: 4 * MAX_MESSAGE].split()))
    return line if len(line) <= MAX_MESSAGE else f"{line[:MAX_MESSAGE]} ..."


class AtelierError(Exception):
    """Root of every error this package raises on purpose; a user can act on its message, which is one line."""

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


class LoadError(AtelierError):
    """A file can't be read as a checkpoint (truncated, wrong shapes, NaN, no known layout)."""


class UnsafeCheckpoint(LoadError):
    """A file names code that a checkpoint has no business naming; nothing of it was run."""


class UnsupportedCheckpoint(LoadError):
    """A well-formed file of a network this package does not know."""


class LatentMismatch(AtelierError):
    """A latent was used with a model it cannot fit."""


class BlendMismatch(AtelierError):
    """Two models cannot be blended (family, resolution or shapes differ)."""


class DeltaMismatch(AtelierError):
    """A delta was put on a model that is neither the one it was tuned on nor a child of it."""


class FaceNotFound(AtelierError):
    """No usable face in an image."""


class InvalidInput(AtelierError):
    """An argument is outside its range or of the wrong shape."""


class TrainingStopped(AtelierError):
    """Training can't go on; what was learnt is kept."""


class SaveError(InvalidInput):
    """A file can't be written (full disk, no permission, in use); nothing of it was left behind."""

    def __init__(self, message: str, full: bool = False, missing: int | None = None) -> None:
        """full: whether the disk is, or no file may be so large; missing: bytes that it lacks, where they can be told."""
        super().__init__(message)
        self.full, self.missing = full, missing
