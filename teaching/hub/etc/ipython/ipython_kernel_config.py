"""Every kernel says why it is new, where it is one because memory ran out."""

c = get_config()  # noqa: F821, IPython defines it
c.InteractiveShellApp.extensions = ["memory_note"]
