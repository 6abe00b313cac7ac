"""The one exception that users are meant to read."""


class EmolibError(Exception):
    """Something the user can put right.

    The message is one line: what is wrong, where, and what to do about it. The command line
    prints that line and exits with status 1; a notebook shows it as the last line of its trace.
    """
