"""An object that calls a function when it is unpickled."""

from collections.abc import Callable


class Trap:
    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call
