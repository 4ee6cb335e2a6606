"""What a built model promises, and what holds, as tables of a terminal."""

from typing import TYPE_CHECKING

from evo_moo.cli.console import new_table, open_console, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evo_moo.deployment.model_folder import ModelFolder
    from evo_moo.deployment.serving.members import Member
    from evo_moo.deployment.verify import Proof


def print_card(folder: "ModelFolder") -> None:
    """Print where a model lies, and what its card promises."""
    console, card = open_console(), folder.card
    console.print(safe(f"{folder.path}: the model of {card.name}; {', '.join(folder.files)}"), highlight=False)
    if card.training.is_reproduced is not None:
        said = "measured what" if card.training.is_reproduced else "did not measure what"
        console.print(f"The training {said} the search had recorded", highlight=False)
    for file, why in card.left_out.items():
        console.print(safe(f"Left out: {file}, {why}"), highlight=False)
    table = new_table(["promise", "value", "measured with"], left=["promise", "measured with"])
    for promises in (card.promises, *card.serving.values()):
        for name, promise in promises.items():
            table.add_row(safe(name), promise.words, safe(promise.of))
    console.print(table)


def print_proof(proof: "Proof") -> None:
    """Print every check, and whether all hold."""
    console = open_console()
    table = new_table(["check", "promised", "measured", "holds"], left=["check", "holds"])
    for check in proof.checks:
        holds = {True: "yes", False: f"no: {check.off or 'too far'}", None: "not measured"}[check.holds]
        table.add_row(safe(check.name), check.promised, check.measured, safe(holds))
    console.print(table)
    words = "holds" if proof.holds else "does not hold"
    console.print(safe(f"{proof.model} by {proof.runtime}: the card {words} here"), highlight=False)


def print_members(address: str, members: "Sequence[Member]") -> None:
    """Print where models are served, and what each is worth here."""
    console = open_console()
    table = new_table(["model", "quality", "latency here", "memory"], left=["model"])
    for member in members:
        table.add_row(
            safe(member.name), f"{member.quality:.4g}", f"{member.typical_ms:.4g} ms", f"{member.memory_mb:.3g} MB"
        )
    console.print(table)
    console.print(f"Serving on {address}", highlight=False)
    console.file.flush()
