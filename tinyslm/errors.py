"""What can go wrong, by kind. Every message names the argument, what was expected, what came, and what to do."""


class TinyslmError(Exception):
    """The base of all errors that tinyslm raises on purpose."""


class ShapeError(TinyslmError, ValueError):
    """Arrays whose shapes do not fit the operation."""


class DTypeError(TinyslmError, TypeError):
    """Mixed or unsuitable number types."""


class GraphError(TinyslmError, RuntimeError):
    """A graph that was freed, changed in place, or never recorded."""


class AnomalyError(TinyslmError, FloatingPointError):
    """Anomaly mode met the first NaN or Inf."""


class BackendError(TinyslmError, RuntimeError):
    """A backend that is not available here."""


class DataError(TinyslmError, ValueError):
    """A file or text that cannot be used as data."""


class CheckpointError(TinyslmError, RuntimeError):
    """A model folder or checkpoint that cannot be read."""


class OptionError(TinyslmError, ValueError):
    """A setting outside its range."""
