"""The course: finding the lessons, running them, and the report."""

from .lessons import Lesson, lessons, lessons_folder
from .run import Outcome, run_lesson

__all__ = ["Lesson", "Outcome", "lessons", "lessons_folder", "run_lesson"]
