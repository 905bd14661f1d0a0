"""`pointsman completion`: the script that makes a shell complete."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options, files and event types.

    bash: `pointsman completion bash > ~/.local/share/bash-completion/completions/pointsman`. zsh: to a file `_pointsman` in a folder of `fpath`.
    fish: `pointsman completion fish > ~/.config/fish/completions/pointsman.fish`. Then start a new shell.
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"this version of click does not know {shell}: install a newer one")
    click.echo(found(ctx.find_root().command, {}, "pointsman", "_POINTSMAN_COMPLETE").source())
