"""The errors that a user can mend. Anything else that is raised is a defect of ours."""


class EspvrError(Exception):
    """Base of every error this package raises on purpose; commands print it as one message, without a traceback."""


class PostFormatError(EspvrError, ValueError):
    """A text file does not follow its format; the message names the file, the line and what was expected.

    Attributes:
        line: the line's number, from 1; 0 where it is from no file.
        expected: what should have been there; empty where the message alone says it.
    """

    def __init__(self, message: str, *, line: int = 0, expected: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.expected = expected


class BadImageError(EspvrError, ValueError):
    """A picture cannot be read; `source` names it and `reason` says why."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason

    def __reduce__(self) -> tuple[type["BadImageError"], tuple[str, str]]:
        return type(self), (self.source, self.reason)


class RegionStoreError(EspvrError):
    """A region store cannot be opened, read or written as asked."""


class UnsafeModelError(EspvrError):
    """A model file is not ours, is damaged, is of a newer format, or hides code; nothing in it was run."""


class ClusterError(EspvrError):
    """Work that was spread over a cluster cannot go on; what is done is kept."""


class ConfigurationError(EspvrError, ValueError):
    """Arguments that do not fit each other or the data."""


class MissingFilesError(ConfigurationError):
    """Files of posts are not there; `problem` says which, for callers with a way out of their own."""

    def __init__(self, problem: str, way_out: str) -> None:
        super().__init__(f"{problem}. {way_out}")
        self.problem = problem
        self.way_out = way_out

    def __reduce__(self) -> tuple[type["MissingFilesError"], tuple[str, str]]:
        return type(self), (self.problem, self.way_out)


class TrainingError(EspvrError, ArithmeticError):
    """Training cannot go on: a loss or gradient is NaN or infinite; the message names the posts of the batch."""
