"""``evo-moo work``: lend this host's processors to a run that listens."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evo_moo.cli.runs import folder_of

if TYPE_CHECKING:
    from evo_moo.evaluation.cluster.member import Head, Whereabouts


def work(
    run: Annotated[
        str | None,
        typer.Argument(metavar="ADDRESS|RUN", help="Where the run listens, as tcp://head:8786; or its run folder."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=1024, help="Number of worker processes; by default one for each core, or place on GPUs."
        ),
    ] = None,
    keys: Annotated[Path | None, typer.Option(metavar="DIR", help="The keys of the run.")] = None,
    new_keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Make keys for a run and its workers, and do no more.")
    ] = None,
) -> None:
    """Work for a run that listens (run --listen), from this or another host, until it is over."""
    from evo_moo.errors import UsageError

    if new_keys is not None:
        from evo_moo.evaluation.cluster.keys import new_keys as make

        if run is not None:
            raise UsageError(f"`--new-keys` must stand alone, but `{run}` is given too; leave one out")
        make(new_keys)
        typer.echo(f"keys in {new_keys}: have them on every host, readable by you alone, and name them by --keys")
        return
    if run is None:
        raise UsageError("`evo-moo work` must name a run, by its folder or its address, as in tcp://head:8786")
    from evo_moo.evaluation.cluster.member import Member

    Member(_whereabouts(run, keys), workers, keys, lambda line: typer.echo(f"evo-moo: {line}", err=True)).work()


def _whereabouts(run: str, keys: Path | None) -> "Whereabouts":
    """Say where a run is, by its address or its folder.

    Raises:
        UsageError: The address is none, or needs keys.
    """
    from evo_moo.errors import UsageError
    from evo_moo.evaluation.cluster.member import Head, Whereabouts
    from evo_moo.job.listening import WITHOUT_KEYS, Address, is_address
    from evo_moo.storage.folder_lock import reached_at

    scheme = "tcp" if keys is None else "tls"

    def sees(folder: str, token: str) -> bool:
        found = reached_at(Path(folder))
        return found is not None and found.token == token

    if is_address(run):
        address = Address.read(run, "ADDRESS")
        if not address.port:
            raise UsageError(f"`ADDRESS` must have a port, as in tcp://head:8786, but is {run!r}")
        if keys is None and not address.is_loopback:
            raise UsageError(f"`--keys` must be given for a run on another host, as {run!r} may be; {WITHOUT_KEYS}")
        place = Head(str(address).replace("tcp", scheme, 1))
        return Whereabouts(f"the run at {address}", lambda: place, lambda: False, sees)
    return Whereabouts(f"`{run}`", lambda: _head_of(Path(run), keys), lambda: _is_over(Path(run)), sees)


def _head_of(folder: Path, keys: Path | None) -> "Head | None":
    """Read where a run can be joined from its folder; None where nothing is known of it now.

    Raises:
        UsageError: It cannot be joined from this host, or not without keys.
    """
    from evo_moo.errors import UsageError
    from evo_moo.evaluation.cluster.member import Head
    from evo_moo.job.listening import WITHOUT_KEYS, Address
    from evo_moo.storage.folder_lock import reached_at

    found = reached_at(folder_of(folder))
    if found is None:
        return None
    address = found.address
    if address.startswith("tls://") != (keys is not None):
        rule = f"`--keys` must be given for a run that listens with keys; {WITHOUT_KEYS}"
        without = "`--keys` must be left out for a run that listens without"
        raise UsageError(f"{rule if keys is None else without}, as `{folder}` does at {address}")
    if not found.is_here and Address.read(address, "ADDRESS").is_loopback:
        raise UsageError(
            f"a run must listen at an address that this host reaches, but `{folder}` listens at {address} of another; "
            "start it with --listen tcp://0.0.0.0:8786"
        )
    return Head(address, found.token, found.is_here)


def _is_over(folder: Path) -> bool:
    from evo_moo.storage.reading import Recorded

    facts = Recorded.read(folder_of(folder)).facts
    return facts is not None and facts.state in ("finished", "failed")
