"""The one error a user can mend."""

from __future__ import annotations


class UserError(Exception):
    """Something in the user's files, settings or command is wrong.

    The message is one whole sentence: what is wrong, where, and how to mend it.
    The command line prints it without a traceback and exits with code 2.
    """
