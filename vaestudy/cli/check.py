"""The command `vaestudy check`: its flags and their checks. Nothing slow is imported before these are made."""

from __future__ import annotations

from vaestudy.cli.flags import Parser
from vaestudy.cli.parsing import add_location_flags, data_root_of
from vaestudy.conformance.kinds import KINDS, find_part, own_parts
from vaestudy.errors import BadInput
from vaestudy.runtime.gc_pause import gc_paused
from vaestudy.runtime.project import project


def check_command(arguments: list[str]) -> int:
    """check that a part of your own does what every part of its kind must do"""
    parser = Parser(
        "vaestudy check",
        "Check that parts of your own do what every part of their kind must do. The parts of vaestudy pass the same "
        f"checks. The kinds are: {', '.join(KINDS)}.",
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART",
        help="NAME, or KIND:NAME if parts of several kinds have this name [default: all parts of your own]",
    )  # fmt: skip
    parser.add_argument(
        "--traceback", action="store_true", help="Show the traceback where a part's code raises an error"
    )
    add_location_flags(parser, "data_dir")
    values = parser.parse(arguments)
    names = values.get("parts", [])
    root = data_root_of(values)
    found = [find_part(name, root) for name in names] if names else own_parts(root)
    if not found:
        raise BadInput(
            f"no part of your own: neither parts.py and studies/*.py in {project()} nor an installed package has one; "
            "`vaestudy check NAME` checks a part of vaestudy"
        )
    with gc_paused():
        from vaestudy.cli import check_work

    return check_work.check(found, values.get("traceback", False))
