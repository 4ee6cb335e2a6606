"""The card as pages that people read: Markdown and HTML."""

from pathlib import Path

from evo_moo.deployment.card import ModelCard
from evo_moo.deployment.model_folder import PAGES
from evo_moo.files import write_whole

TEMPLATES = Path(__file__).with_name("templates")


def write_pages(card: ModelCard, folder: Path) -> None:
    """Write ``card.md`` and ``card.html``.

    Raises:
        OSError: They cannot be written.
    """
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    for name in PAGES:
        environment = jinja2.Environment(
            loader=loader,
            autoescape=name.endswith(".html"),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {"number": "{:.4g}".format}
        if name.endswith(".md"):
            environment.filters["cell"] = _in_markdown
        write_whole(folder / name, environment.get_template(f"{name}.j2").render(card=card))


def _in_markdown(value: object) -> str:
    """Return a text that is one cell of a table, whatever it holds: no markup, no line of its own."""
    text = str(value).replace("&", "&amp;").replace("<", "&lt;")
    for sign in ("\\", "`", "*", "_", "|", "[", "]", "#"):
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
