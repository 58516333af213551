"""All planted mistakes: the singles of three tables and the files with two."""

from . import table_lines, table_places, table_special
from .pairs import DOUBLES
from .planting import MISTAKES, Double, Mistake

__all__ = ["DOUBLES", "MISTAKES", "Double", "Mistake", "table_lines", "table_places", "table_special"]
