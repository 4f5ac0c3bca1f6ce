"""`steelyard completion`: scripts that complete the command in a shell, made of its parser.

bash:  eval "$(steelyard completion bash)"
zsh:   steelyard completion zsh > "${fpath[1]}/_steelyard"
fish:  steelyard completion fish > ~/.config/fish/completions/steelyard.fish
"""

from __future__ import annotations

import shlex
from argparse import Action, Namespace

from steelyard.builtin import BUILTINS
from steelyard.cli.flags.base import Parser
from steelyard.cli.parser import build_parser
from steelyard.cli.screen import show

_NAMES = {
    "model": "models",
    "data": "data",
    "shot_data": "data",
    "task": "tasks",
    "metric": "metrics",
    "extract": "extractors",
    "workload": "workloads",
    "check_answers": "tasks",
}


def run(options: Namespace) -> int:
    """Print the script for one shell."""
    show({"bash": write_bash, "zsh": write_zsh, "fish": write_fish}[options.shell]())
    return 0


def write_bash() -> str:
    """The script for bash."""
    _, verbs = build_parser()
    cases = []
    for verb, parser in verbs.items():
        values = [
            f'            {"|".join(a.option_strings)}) words="{" ".join(w)}" ;;'
            for a in parser.flags()
            if a.option_strings and (w := _words(a))
        ]
        cases += [
            f"    {verb})",
            f'        words="{" ".join([*_flags(parser), *_choices(parser)])}"',
            *(['        case "$previous" in', *values, "        esac"] if values else []),
            "        ;;",
        ]
    return "\n".join(
        [
            "_steelyard() {",
            '    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" words=""',
            "    if [[ $COMP_CWORD -eq 1 ]]; then",
            f'        COMPREPLY=($(compgen -W "{" ".join(verbs)} --help --version" -- "$current"))',
            "        return",
            "    fi",
            '    case "${COMP_WORDS[1]}" in',
            *cases,
            "    esac",
            '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
            "}",
            "complete -o default -o bashdefault -F _steelyard steelyard",
        ]
    )


def write_zsh() -> str:
    """The script for zsh."""
    _, verbs = build_parser()
    described = [f"        {shlex.quote(f'{verb}:{p.description}')}" for verb, p in verbs.items()]
    cases = []
    for verb, parser in verbs.items():
        specs = [spec for action in parser.flags() for spec in _zsh_specs(action)]
        cases += [f"    {verb})", "        _arguments -S \\", " \\\n".join(specs), "        ;;"]
    return "\n".join(
        [
            "#compdef steelyard",
            "_steelyard() {",
            "    local -a verbs=(",
            *described,
            "    )",
            "    if (( CURRENT == 2 )); then",
            "        _describe verb verbs",
            "        return",
            "    fi",
            '    local verb="${words[2]}"',
            "    shift words",
            "    (( CURRENT-- ))",
            '    case "$verb" in',
            *cases,
            "    esac",
            "}",
            '_steelyard "$@"',
        ]
    )


def write_fish() -> str:
    """The script for fish."""
    _, verbs = build_parser()
    lines = ["complete -c steelyard -f -n __fish_use_subcommand -l version -d 'print the version'"]
    for verb, parser in verbs.items():
        about = shlex.quote(parser.description or "")
        lines.append(f"complete -c steelyard -f -n __fish_use_subcommand -a {verb} -d {about}")
        given = f"-n '__fish_seen_subcommand_from {verb}'"
        for action in parser.flags():
            words = _words(action)
            values = f" -x -a {shlex.quote(' '.join(words))}" if words else " -r"
            if not action.option_strings:
                lines += [f"complete -c steelyard {given}{values}"] if words else []
                continue
            names = " ".join(f"-l {n[2:]}" if n[:2] == "--" else f"-s {n[1:]}" for n in action.option_strings)
            takes = "" if action.nargs == 0 else values
            help_text = shlex.quote(_help_of(action))
            lines.append(f"complete -c steelyard {given} {names}{takes} -d {help_text}")
    return "\n".join(lines)


def _flags(parser: Parser) -> list[str]:
    return [name for action in parser.flags() for name in action.option_strings]


def _choices(parser: Parser) -> list[str]:
    """What can stand beside the verb without a flag."""
    return [word for action in parser.flags() if not action.option_strings for word in _words(action)]


def _words(action: Action) -> list[str]:
    """The values that an argument is known to take."""
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    return sorted(BUILTINS.get(_NAMES.get(action.dest, ""), ()))


def _zsh_specs(action: Action) -> list[str]:
    words = _words(action)
    values = f"({' '.join(words)})" if words else "_files"
    if not action.option_strings:
        place = "*" if action.nargs == "+" else ""
        return [f"            {shlex.quote(f'{place}:{action.dest}:{values}')}"]
    about = _help_of(action).translate({ord(c): f"\\{c}" for c in "[]:"})
    takes = "" if action.nargs == 0 else f":{action.dest}:{values}"
    # A star: the flag may be given again.
    return [f"            {shlex.quote(f'*{name}[{about}]{takes}')}" for name in action.option_strings]


def _help_of(action: Action) -> str:
    # What argparse reads as one percent sign is written as two.
    return (action.help or "").replace("%%", "%")
