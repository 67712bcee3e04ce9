"""The page: a recorder and a place for files on one side, answers on the other. gradio serves it."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import AudioError, MissingPackageError, RunError
from ..markdown import markdown_text
from ..pipeline_burst2vec import Burst2VecPipeline
from ..tasks import Task
from .answer_views import STYLE, answers_html, picture_html, refusal_html
from .model_note import model_note
from .recording_analysis import AUTOMATIC, LONG_SECONDS, MOST_SECONDS, TAKEN_AS, Analysis, analyse_recording

logger = logging.getLogger(__name__)

MOST_KEPT_SECONDS = 600  # an upload; it must be there while its page plays it or asks about it another way
CLEAN_EVERY_SECONDS = 60
MOST_BYTES = 128 * 2**20  # of an upload: ten minutes of CD sound have 106 MB
MOST_WAITING = 16  # recordings; whoever comes then is told that the page is busy
NOTHING_YET = '<p class="b2v-note">The answers appear here.</p>'
_ABOUT_TAKEN_AS = (
    f"automatic: one burst; from {LONG_SECONDS} s on, the bursts are found. A recording may have up to "
    f"{MOST_SECONDS // 60} minutes and {MOST_BYTES // 2**20} MB, and is deleted here after {MOST_KEPT_SECONDS // 60} "
    "minutes."
)


def open_demo(
    analyse: Burst2VecPipeline,
    *,
    host: str = "127.0.0.1",
    port: int | None = 7860,
    share: bool = False,
    features: list[str] | None = None,
):
    """Serve the page, and return.

    Nothing is sent anywhere but to who has the page open, unless it is shared. One recording is analysed at a time. An
    upload is deleted after ten minutes, and when the page is closed.

    Args:
        analyse: the model's pipeline.
        host: the address to serve at; ``"0.0.0.0"`` for all, where a browser allows a microphone only by https.
        port: None takes the first that is free from 7860 on.
        share: also by a public address of gradio's, for a week.
        features: of a model that takes vectors, its feature sets with their places on this machine.

    Returns:
        A ``gradio.Blocks``: ``local_url`` is its address, ``block_thread()`` waits, ``close()`` ends it.

    Raises:
        RunError: a model that takes vectors on their speakers' scale; a host or port that cannot be had.
        CorpusError: feature sets that are not found by the names that the model knows.
        MissingPackageError: gradio is not installed.
    """
    if analyse.feature_extractor.normalise_per_speaker:
        raise RunError(
            "this model takes vectors on their speakers' scale, which one recording does not have; predict several "
            "clips of each speaker with burst2vec predict"
        )
    if port is not None and not 0 < port < 2**16:
        raise RunError(f"port {port} is not one of 1 to {2**16 - 1}")
    if analyse.feature_extractor.features:
        analyse.feature_sets(features)
    gradio = _import_gradio()
    page = _page(gradio, analyse, features)
    page.queue(max_size=MOST_WAITING, default_concurrency_limit=1)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=share,
            prevent_thread_lock=True,
            quiet=True,
            max_file_size=MOST_BYTES,
            ssr_mode=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            css=STYLE,
            theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        )
    except OSError as error:
        raise RunError(
            f"cannot serve at {host}, port {port or 'any from 7860 on'}: it is taken, or the address is not this "
            "machine's; give another --host or --port"
        ) from error
    return page


def _import_gradio():
    try:
        import gradio
    except ImportError as error:
        raise MissingPackageError("the demo needs gradio: pip install 'burst2vec[demo]'") from error
    return gradio


def _page(gradio, analyse: Burst2VecPipeline, features: list[str] | None):
    name = Path(analyse.model.name_or_path).name
    tasks = analyse.model.config.task_records

    def show(path: str | None, taken_as: str) -> tuple[str, str]:
        """Answers and picture of a recording."""
        return shown(path, lambda: analyse_recording(analyse, path, taken_as, features), tasks)

    with gradio.Blocks(
        title=f"burst2vec: {name}",
        analytics_enabled=False,
        delete_cache=(CLEAN_EVERY_SECONDS, MOST_KEPT_SECONDS),
    ) as page:
        gradio.Markdown(f"# {markdown_text(name)}\n\n{model_note(analyse)}")
        with gradio.Row():
            with gradio.Column(scale=2):
                sound = gradio.Audio(
                    sources=["upload", "microphone"], type="filepath", label="A laugh, a gasp, a cry", buttons=[]
                )
                taken_as = gradio.Radio(
                    list(TAKEN_AS), value=AUTOMATIC, label="Take the recording as", info=_ABOUT_TAKEN_AS
                )
                button = gradio.Button("Analyse", variant="primary")
            with gradio.Column(scale=3):
                answers = gradio.HTML(NOTHING_YET, elem_id="answers")
        picture = gradio.HTML(elem_id="picture")
        views = {"inputs": [sound, taken_as], "outputs": [answers, picture]}
        button.click(show, **views, api_name="analyse")
        gradio.on([sound.upload, sound.stop_recording, taken_as.input], show, **views, api_visibility="private")
    return page


def shown(path: str | None, analysis_of: Callable[[], Analysis], tasks: Sequence[Task]) -> tuple[str, str]:
    """What the page shows of a recording: answers and picture, or a sentence where there are none; never raises."""
    if path is None:
        return NOTHING_YET, ""
    try:
        analysis = analysis_of()
        return answers_html(tasks, analysis), picture_html(tasks, analysis)
    except AudioError as error:
        return refusal_html(str(error)), ""
    except Exception:  # a fault of ours is told to who runs the page, in its log, and not to who looks at it
        logger.exception("a recording could not be analysed")
        return refusal_html("The recording could not be analysed; the server's log says why."), ""
