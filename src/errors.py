"""The one error a person is meant to read: what came, what was wanted, and the way out."""


class UserError(Exception):
    """A mistake outside the code (a file, a setting, the network) that the person running it can mend.

    Entry points print its message without a traceback and exit with status 1.
    """
