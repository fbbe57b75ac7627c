"""How nbgrader makes an assignment of a notebook of solutions: see README.md beside this file."""

from nbgrader.converters import GenerateAssignment

c = get_config()  # noqa: F821, nbgrader defines it

# What stands in place of an answer runs through and says that it is still to do.
c.ClearSolutions.code_stub = {"python": "..."}

# The worked results and the common mistakes are not handed out.
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_cell_tags = {"mistake", "worked"}
c.GenerateAssignment.preprocessors = [
    "nbconvert.preprocessors.TagRemovePreprocessor",
    *GenerateAssignment().preprocessors,
]

# A learner's answer may train for a while before a check can look at it.
c.Execute.timeout = 300
