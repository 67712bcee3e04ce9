"""What mkdocs shows beside docs/pages: files of the repository as they stand, and the list of the shipped recipes."""

from pathlib import Path

import yaml
from mkdocs.structure.files import File, Files

from burst2vec.tasks import TASK_PRESETS

ROOT = Path(__file__).parents[1]

# Under their own names, so that the links between them lead to the same places here.
AS_THEY_STAND = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/burst2vec.svg")


def on_files(files: Files, config) -> Files:
    """mkdocs' hook: add the pages that are made of what lies elsewhere."""
    for name in AS_THEY_STAND:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    files.append(File.generated(config, "recipes.md", content=recipes_page()))
    return files


def on_page_markdown(markdown: str, **_) -> str:
    """mkdocs' hook: the table of named task sets, where a page asks for it."""
    return markdown.replace("{{ task_presets }}", "\n".join(map(_preset_row, TASK_PRESETS)))


def _preset_row(name: str) -> str:
    tasks = (f"{task.name} ({task.kind}, {len(task.labels)}, {task.metric})" for task in TASK_PRESETS[name])
    return f"| `{name}` | {'; '.join(tasks)} |"


def recipes_page() -> str:
    """A table of the shipped recipes for each folder: name, what it is, and what its paper printed."""
    lines = [
        "# Recipes",
        "",
        "`burst2vec train NAME` runs one of these, `extends: NAME` in a recipe of yours builds on it. "
        "`burst2vec fuse NAME` runs a fusion of finished runs, such as `burst2vec/ensemble_a`; "
        "`burst2vec generate NAME` trains one of `exvo_generate`, or `emogator/flow`.",
    ]
    folder = None
    for path in sorted((ROOT / "examples/recipes").rglob("*.yaml")):
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.parent.name != folder:
            folder = path.parent.name
            lines += ["", f"## {folder}", "", "| name | what it is | of | printed there |", "| --- | --- | --- | --- |"]
        printed = "; ".join(
            f"{split}: " + ", ".join(f"{score} {value}" for score, value in scores.items())
            for split, scores in said.get("reported_scores", {}).items()
        )
        cells = (f"`{folder}/{path.stem}`", said["description"], said.get("paper", ""), printed)
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
