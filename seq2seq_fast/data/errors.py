"""The one exception for what a person can get wrong."""


class InputError(ValueError):
    """Something that a person gave (a file, a flag, a folder) cannot be used.

    The message is one line that names the thing and says what is wrong with it; the command line prints it as it is
    and ends with exit code 2. Errors of any other type are errors of the program.
    """
