"""The command line of a study file.

The flags become a sweep, its cells and its options. All are validated before anything slow is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from vaestudy.cli.config_flags import add_config_flags
from vaestudy.cli.factor_flag import (
    add_factor_flag,
    extended,
    factors_from_texts,
    require_given_once,
    split_factors,
)
from vaestudy.cli.flags import DEFAULT_IN_TEXT, Parser, add_fields, flag, split_lists
from vaestudy.cli.one_value import one_value_in_search, one_value_in_study, several_values
from vaestudy.cli.parsing import add_location_flags, data_root_of, require_cuda_driver, run_guarded
from vaestudy.cli.short_help import Entry
from vaestudy.cli.uncaught import answer_in_one_line
from vaestudy.config.fields import choice_of
from vaestudy.config.messages import validated
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.runtime import addresses, project
from vaestudy.runtime.gc_pause import gc_paused
from vaestudy.study.declaration import Level, Study
from vaestudy.study.levels import is_list, level_from_text, level_text
from vaestudy.sweep.preparation import StudyRequest, prepared
from vaestudy.sweep.search_flags import SearchFlags, TuneFlags, searched, tuned
from vaestudy.sweep.sweep_options import Locations, SweepOptions

PLACES = ("scheduler", "tls_ca", "tls_cert", "tls_key", "storage")
"""The options of a sweep that are addresses and files."""
EXPLAINED = ("quick", "plan", "full", "seeds")
"""The options of a sweep that `--help` explains; `--help-all` explains all."""

answer_in_one_line()  # a study's file imports this module before it declares the study


def study_main(study: Study, arguments: Sequence[str] | None = None) -> int:
    """Run the command line of a study file; return the exit code.

    Args:
        study: the declared study.
        arguments: the command line without the program's name [default: that of this process].
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    project.choose_project_of_study_file()
    return run_guarded(f"study {study.name}", lambda: _run(study, given))


def _run(study: Study, arguments: list[str]) -> int:
    """Validate the arguments, then run the study; return the exit code."""
    values = _parser(study).parse(arguments)
    factors = factors_from_texts(values.pop("factor")) if "factor" in values else {}
    given = {name: _given_levels(name, values.pop(name)) for name in study.factors if name in values}
    values = split_lists(values)
    options = validated(SweepOptions, {n: values.pop(n) for n in SweepOptions.model_fields if n in values}, flag)
    if several := several_values(values):
        raise BadInput(_one_value(study)(*several))
    require_given_once(factors, given, values)
    own, further = split_factors(study, factors)
    given |= own
    if further:
        study = extended(study, further, {n: value for n, value in values.items() if n in RunConfig.model_fields})
    study, of_search = _with_search_flags(study, values, options)
    variant = ({"factor": "+".join(further)} if further else {}) | of_search
    if options.scheduler is not None:
        addresses.require_listening(options.scheduler, "--scheduler", "scheduler")
    root = data_root_of(values)
    uri = addresses.tracking_uri(values.pop("tracking_uri", None), must_answer=False)
    base = validated(RunConfig, study.base.model_dump() | values, flag)
    changed = {name: getattr(base, name) for name in values}
    if study.search is not None and base.valid_size == 0:
        raise BadInput(f"--valid-size 0: the search optimises {study.search.objectives[0]}, so it must be 1 or more")
    levels = study.levels_to_run(full=options.full, quick=options.quick, given=given)
    for device in levels.get("device", (base.device,)):
        require_cuda_driver(str(device))
    sweep, plan, has_data = prepared(StudyRequest(study, base, changed, given, options, variant), root, flag)
    if options.plan:
        with gc_paused():
            from vaestudy.cli import plan_work

        return plan_work.show_plan(sweep, plan, options, Locations(root, uri), has_data)
    with gc_paused():
        from vaestudy.cli import commands

    return commands.run_study(sweep, plan, options, Locations(root, uri))


def _with_search_flags(study: Study, values: dict[str, Any], options: SweepOptions) -> tuple[Study, dict[str, str]]:
    """Return the study as the flags of searches change it, and the variant of its sweep; take the flags from `values`.

    Raises:
        BadInput: a flag is not valid, or does not go with the study.
    """
    model = SearchFlags if study.search is not None else TuneFlags
    given = {name: values.pop(name) for name in model.model_fields if name in values}
    if study.search is not None:
        return searched(study, validated(SearchFlags, given, flag), options.quick)
    flags = validated(TuneFlags, given, flag)
    if options.timeout is not None and not flags.tune:
        raise BadInput(f"--timeout {options.timeout:g}: limits a search; this study has none without --tune FIELD")
    return tuned(study, flags, options.quick, flag)


def _given_levels(name: str, texts: list[str]) -> tuple[Level, ...]:
    """Return the levels that the command line gives a factor.

    Raises:
        BadInput: a text is no level, or a comma leaves open whether it stands between levels or within one.
    """
    if is_list(name) and (unclear := next((text for text in texts if "," in text), None)):
        within, between = unclear.replace(",", "x"), unclear.replace(",", " ")
        raise BadInput(f"{flag(name)} {unclear}: write {within} for one level, or {between} for several")
    parts = texts if is_list(name) else split_lists({name: texts})[name]
    return tuple(dict.fromkeys(level_from_text(name, part, flag) for part in parts))


def _one_value(study: Study) -> Callable[[str, Sequence[str]], str]:
    """Return the function that says what to do about several values of a flag that takes one."""
    return one_value_in_study if study.search is None else one_value_in_search


def _parser(study: Study) -> Parser:
    """Return the parser of a study's flags: levels of the factors, fields of the base, options of the sweep, places."""
    parser = Parser(f"vaestudy run {study.name}", study.doc, study.question)
    parser.answer_second_values(_one_value(study))
    for name in study.factors:
        _add_levels_flag(parser, study, name)
    levels = {name: (*values, *study.full.get(name, ())) for name, values in study.factors.items()}
    add_config_flags(parser, study.base.model_dump(), {"seed", *study.factors}, levels)
    of_study = [name for name in SweepOptions.model_fields if name not in PLACES]
    defaults = {"seeds": study.seeds}
    add_fields(parser, SweepOptions, "study", only=of_study, defaults=defaults, switches=True, explain=EXPLAINED)
    add_factor_flag(parser, "study", study)
    if study.search is None:
        add_fields(parser, TuneFlags, "study", explain=("tune",))
    else:
        own = {name: getattr(study.search, name) for name in SearchFlags.model_fields}
        add_fields(parser, SearchFlags, "study", defaults=own)
    add_location_flags(parser, "data_dir", "tracking_uri")
    add_fields(parser, SweepOptions, "places", only=PLACES)
    return parser


def _add_levels_flag(parser: Parser, study: Study, name: str) -> None:
    """Add the flag that gives the levels of a factor."""
    field, levels, full = RunConfig.model_fields[name], study.factors[name], study.full.get(name, ())
    text = DEFAULT_IN_TEXT.sub("", (field.description or "").rstrip("."))
    text += ". A factor of this study: one or more levels"
    text += "; a level of several numbers is joined by x: 32 64x64" * is_list(name)
    shown, more = (" ".join(map(level_text, values)) for values in (levels, full))
    after = f" [default: {shown}{f', with --full also {more}' * bool(full)}; "
    after += f"baseline: {level_text(study.baseline[name])}]"
    text, after = text.replace("%", "%%"), after.replace("%", "%%")
    action = parser.group("factors").add_argument(flag(name), nargs="+", metavar="LEVEL", help=text + after)
    if (choice := choice_of(field.metadata)) is not None:
        parser.name_in_help(action, text, choice, after)
    parser.add_entry(Entry("factors", flag(name), shown))
