"""Where assignments are handed out and handed in, for everybody."""

import sys
from pathlib import Path

c = get_config()  # noqa: F821, nbgrader defines it
c.CourseDirectory.course_id = "sparse-autoencoders"
c.Exchange.root = str(Path(sys.prefix).parent / "exchange")
