"""Groups of commands: imported only when they run, listed by who uses them, with the nearest name where one is mistyped."""

import difflib
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from .cli_errors import INTERRUPTED, explained, line_of


class Group(click.Group):
    """A group that says which command was probably meant."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named; raises `UsageError` with the nearest name where there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if near := difflib.get_close_matches(args[0], self.list_commands(ctx), n=1):
                error.message += f" Did you mean {near[0]}?"
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their whole first sentence."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(200)) for name, command in sorted(self.commands.items())])


class LazyGroup(Group):
    """The commands of `sections`: title → name → short help. `NAME` is the attribute `NAME` of the module `command_NAME` beside this one."""

    def __init__(self, *args: Any, sections: Mapping[str, Mapping[str, str]], **more: Any) -> None:
        super().__init__(*args, **more)
        self.sections = sections
        self._short = {name: short for section in sections.values() for name, short in section.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the order of the sections."""
        return [*self._short, *sorted(self.commands.keys() - self._short)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in self._short:
            return super().get_command(ctx, cmd_name)
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"{__package__}.command_{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The sections of `--help`, without importing a command."""
        others = {name: command.get_short_help_str(100) for name, command in self.commands.items() if name not in self._short}
        for title, section in {**self.sections, "More": others}.items():
            if section:
                with formatter.section(title):
                    formatter.write_dl(list(section.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names that begin so, without importing a command, and the group's own options."""
        named = [CompletionItem(name, help=self._short.get(name)) for name in self.list_commands(ctx) if name.startswith(incomplete)]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run from the command line: an error is one line, Ctrl-C ends with 130."""
        run: Any = super().main
        if not standalone_mode:
            return run(*args, standalone_mode=False, **extra)
        try:
            code = run(*args, standalone_mode=False, **extra)
        except click.Abort:
            sys.exit(INTERRUPTED)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            click.echo(f"Error: {line_of(error)}", err=True)
            sys.exit(error.exit_code)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors that a user can mend become one line."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            sys.exit(1)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if (said := explained(error)) is not None:
                raise said from error
            raise


__all__ = ["Group", "LazyGroup"]
