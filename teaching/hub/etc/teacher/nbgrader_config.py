"""Where the teacher grades."""

from pathlib import Path

c = get_config()  # noqa: F821, nbgrader defines it
c.CourseDirectory.root = str(Path.home() / "grading")
