"""``zssd weights``: the priors that zssd knows, where they lie and whether they are whole."""

from typing import Annotated

import typer

from zssd_cli.commands.shared import Page, folded

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a registered prior.")]
OptionalName = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Name of a prior; all when left out.")]


@app.callback()
def weights() -> None:
    """List, show, fetch and verify the priors."""


@app.command("list")
def list_() -> None:
    """List the registered priors and where their files are."""
    from rich.table import Column, Table

    from zssd_cli.prior import registry

    table = Table(Column("name", overflow="fold", min_width=21), "kind", "variables", "size", "where")
    for prior in registry.entries().values():
        path = registry.find_local(prior)
        size = f"{prior.size / 1e6:.1f} MB"
        where = registry.place_of(path) + (", default" if prior.default else "")
        table.add_row(prior.name, prior.kind, ",".join(prior.variables), size, where)
    Page().print(table)


@app.command()
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE]", help="A registered prior, or a prior's file; the default one when left out."
        ),
    ] = None,
) -> None:
    """Show the model card of a prior: data, variables, times, and what it cannot know. Of a file: what its header says."""
    from zssd_cli.errors import WeightsError
    from zssd_cli.prior import registry

    console, name = Page(), name or registry.default_name()
    if name not in registry.entries() and name.endswith(registry.SUFFIX):
        path, sha256 = registry.locate(name)
        console.print(folded(registry.described(path)))
        console.print(f"\n{path}  {path.stat().st_size} bytes  sha256 {sha256}", highlight=False, soft_wrap=True)
        return
    prior = registry.entry(name)
    path = registry.shipped_folder() / prior.card
    if not path.is_file():
        msg = f"Prior {name}: expected its card at {path}, got no such file. Install zssd again."
        raise WeightsError(msg)
    console.print(folded(path.read_text(encoding="utf-8")))
    console.print(f"\n{prior.file}  {prior.size} bytes  sha256 {prior.sha256}", highlight=False, soft_wrap=True)


@app.command()
def fetch(name: Name) -> None:
    """Put a prior into the cache, unless it is on this machine already."""
    from zssd_cli.prior import registry

    path, _ = registry.locate(registry.entry(name).name, kind=None)
    typer.echo(path)


@app.command()
def verify(name: OptionalName = None) -> None:
    """Compare the sha256 of the files on this machine with the registry; exit code 1 when one differs."""
    from zssd_cli.errors import WeightsError
    from zssd_cli.prior import registry

    damaged = []
    for prior in [registry.entry(name)] if name else registry.entries().values():
        path = registry.find_local(prior)
        if path is None:
            state = "not on this machine"
        else:
            state = "ok" if registry.sha256_of(path) == prior.sha256 else "DAMAGED"
        typer.echo(f"{prior.name}: {state} {path or ''}".rstrip())
        if state == "DAMAGED" or (path is None and name):
            damaged.append(str(path or prior.file))
    if damaged:
        msg = f"Expected the registry's sha256, got another or no file: {', '.join(damaged)}. Fetch or restore it."
        raise WeightsError(msg)
