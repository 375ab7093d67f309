"""Errors that say where, what was expected, what was found and what to do."""


class PlanError(Exception):
    """A fault in the config or the metadata file that no run can start with.

    Parameters
    ----------
    where : str
        The config key or the file that is at fault.
    expected, found : str
        What should be there, and what is.
    remedy : str
        What to do about it.
    """

    def __init__(self, where: str, *, expected: str, found: str, remedy: str = "") -> None:
        lines = [f"{where}", f"  expected: {expected}", f"  found:    {found}"]
        if remedy:
            lines.append(f"  do:       {remedy}")
        super().__init__("\n".join(lines))
        self.where = where
