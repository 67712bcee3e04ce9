"""A synthetic corpus in HUME-VB's own layout, so that everything can be tried before the real data arrives.

The voices come from ``synthetic_voices``. They are invented: **a score on this corpus says nothing about people**. What
it can say is that a model learns: the acoustics carry the ten intensities, the age and the country, of speakers never
trained on, through noise and at any level.

    folder/
      data_info.csv     File_ID,Split,Subject_ID,Country,Age,Awe,…,Surprise; HUME-VB, but the test rows have labels too
      wav/00001.wav     16 kHz, 16 bits, one channel
      synthetic.json    with which arguments the folder was written, and whether the writing was finished
"""

import csv
import functools
import io
import json
import multiprocessing
import wave
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
from tqdm.auto import tqdm

from ...errors import CorpusError
from ...files import remove_drafts, write_whole
from ...tasks import EXVO_COUNTRIES, EXVO_EMOTIONS, TASK_PRESETS
from ...waveforms import SAMPLING_RATE
from .hume_vb import HumeVBSettings, open_hume_vb
from .hume_vb_tables import EXVO
from .record import Corpus, given_settings, setting, settings
from .synthetic_voices import AGES_YEARS, Voice, invent_voice, synthesise_burst

VERSION = 3  # raise it with every change that alters a sample or a label: folders of another version are refused
COLUMNS = ("File_ID", "Split", "Subject_ID", "Country", "Age", *EXVO_EMOTIONS)
SPLITS = ("Train", "Val", "Test", "Train", "Train")  # of every five speakers of a country
FEWEST_SPEAKERS = 3 * len(EXVO_COUNTRIES)  # each country in each split

GOLDEN = 0.618034  # steps of the golden ratio fill an interval evenly, however many they are

# How strongly an emotion brings another along, of its own intensity at most. It goes both ways.
KINSHIP = {
    ("Awe", "Surprise"): 0.6,
    ("Awe", "Excitement"): 0.5,
    ("Excitement", "Triumph"): 0.7,
    ("Excitement", "Amusement"): 0.5,
    ("Amusement", "Awkwardness"): 0.5,
    ("Awkwardness", "Distress"): 0.4,
    ("Fear", "Horror"): 0.7,
    ("Fear", "Surprise"): 0.5,
    ("Horror", "Distress"): 0.5,
    ("Distress", "Sadness"): 0.7,
    ("Triumph", "Amusement"): 0.3,
    ("Sadness", "Awe"): 0.3,
}

_SPEAKER, _CLIP, _OFFSET = 0, 1, 2  # streams of chance


@dataclass(frozen=True)
class Clip:
    """One row of ``data_info.csv``."""

    number: int  # from 1
    speaker: int
    split: str
    voice: Voice
    intensities: np.ndarray  # 0..1, shape (10,)

    def row(self) -> list:
        return [
            f"[{self.number:05d}]",
            self.split,
            f"S{self.speaker + 1:03d}",
            self.voice.country,
            f"{self.voice.age_years:.1f}",
            *(f"{intensity:.4f}" for intensity in self.intensities),
        ]


def draw_intensities(rng: np.random.Generator) -> np.ndarray:
    """Ten intensities, 0..1: one emotion leads with 0.5 to 1, its kin follow, and a stranger may join in.

    Most clips carry three to five emotions above 0, as raters of real bursts give several.
    """
    lead = rng.integers(len(EXVO_EMOTIONS))
    intensities = np.zeros(len(EXVO_EMOTIONS))
    intensities[lead] = rng.uniform(0.5, 1.0)
    for pair, ratio in KINSHIP.items():
        places = [EXVO_EMOTIONS.index(name) for name in pair]
        if lead in places:
            (kin,) = (place for place in places if place != lead)
            intensities[kin] = intensities[lead] * ratio * rng.uniform()
    stranger = rng.integers(len(EXVO_EMOTIONS))
    intensities[stranger] = max(intensities[stranger], 0.4 * rng.uniform())
    return intensities.round(4)


def draw_speaker(speaker: int, seed: int) -> tuple[str, Voice]:
    """The split and the voice of a speaker; countries and ages are spread evenly over speakers and over splits."""
    rng = np.random.default_rng([seed, _SPEAKER, speaker])
    countries = len(EXVO_COUNTRIES)
    youngest, oldest = AGES_YEARS
    spread = (GOLDEN * speaker + np.random.default_rng(seed).uniform()) % 1.0
    age_years = round(2 * (youngest + (oldest - youngest) * spread)) / 2  # half years, as HUME-VB
    return SPLITS[speaker // countries % len(SPLITS)], invent_voice(EXVO_COUNTRIES[speaker % countries], age_years, rng)


def rated(intensities: np.ndarray, speaker: int, seed: int, speaker_offset: float) -> np.ndarray:
    """The intensities of a speaker's clip as its labels have them: each emotion moved by the speaker's own offset.

    The offsets are normal, of standard deviation ``speaker_offset``, and the labels stay in 0..1. The sound does not
    tell them: they are what only labelled clips of the speaker can.
    """
    offsets = np.random.default_rng([seed, _OFFSET, speaker]).normal(0.0, speaker_offset, intensities.shape)
    return np.clip(intensities + offsets, 0.0, 1.0).round(4)


def draw_clip(index: int, speakers: int, seed: int, speaker_offset: float = 0.0) -> tuple[Clip, np.ndarray]:
    """Row and waveform of a clip: a function of its place and of the other arguments, of nothing else."""
    speaker = index % speakers
    split, voice = draw_speaker(speaker, seed)
    rng = np.random.default_rng([seed, _CLIP, index])
    intensities = draw_intensities(rng)
    labels = rated(intensities, speaker, seed, speaker_offset)
    return Clip(index + 1, speaker, split, voice, labels), synthesise_burst(voice, intensities, rng)


def write_clip(index: int, folder: Path, speakers: int, seed: int, speaker_offset: float = 0.0) -> list:
    """Write one wav file and return its row of ``data_info.csv``."""
    clip, waveform = draw_clip(index, speakers, seed, speaker_offset)
    recording = io.BytesIO()
    with wave.open(recording, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLING_RATE)
        file.writeframes((waveform * 32767.0).round().astype("<i2").tobytes())
    path = folder / "wav" / f"{clip.number:05d}.wav"
    write_whole(path, recording.getvalue(), force=False)  # thousands; synthetic.json is not finished yet
    return clip.row()


def write_synthetic_corpus(
    folder,
    clips: int = 2000,
    speakers: int = 200,
    seed: int = 0,
    num_proc: int | None = None,
    speaker_offset: float = 0.0,
) -> Path:
    """Write the corpus, or find it written already.

    Args:
        folder: where to; new or empty, or written before by this function.
        clips: how many. The first clips of a longer corpus of as many speakers are the same clips.
        speakers: how many, 12 or more; of each country about 60 % train, 20 % validate and 20 % test.
        seed: another seed, other speakers and other clips. The bytes written depend on the arguments above alone.
        num_proc: processes to write with; None is this one.
        speaker_offset: standard deviation of an offset that each speaker has in the label of each emotion, 0 or more;
            see [`rated`]. 0: the labels are what the sound was made of.

    Returns:
        ``folder``, to be read by ``load_bursts("synthetic", data_dir=folder)``. A folder written before with the same
        arguments is returned as it is; one whose writing was interrupted is written again.

    Raises:
        CorpusError: too few speakers or clips, a negative seed or offset, or more clips than five digits can name.
        CorpusError: the folder holds something else, or a corpus of other arguments.
    """
    folder = Path(folder)
    if speakers < FEWEST_SPEAKERS:
        raise CorpusError(f"speakers={speakers}: give {FEWEST_SPEAKERS} or more, so that every split has every country")
    if not speakers <= clips <= 99_999:
        raise CorpusError(f"clips={clips}: give one clip per speaker ({speakers}) to 99999, what five digits can name")
    if seed < 0:
        raise CorpusError(f"seed={seed}: give 0 or more")
    if not 0 <= speaker_offset <= 1:
        raise CorpusError(f"speaker_offset={speaker_offset}: give a standard deviation in 0..1, as the labels are")
    arguments = {"version": VERSION, "clips": clips, "speakers": speakers, "seed": seed}
    if speaker_offset:
        arguments["speaker_offset"] = speaker_offset
    if _is_finished(folder, arguments):
        return folder

    (folder / "wav").mkdir(parents=True, exist_ok=True)
    remove_drafts(folder / "wav")  # of a call that was killed
    _write_marker(folder, arguments, finished=False)
    write_one = functools.partial(
        write_clip, folder=folder, speakers=speakers, seed=seed, speaker_offset=speaker_offset
    )
    progress = functools.partial(tqdm, total=clips, desc="Writing synthetic bursts", unit=" clips", mininterval=0.5)
    if num_proc is None or num_proc == 1:
        rows = list(progress(map(write_one, range(clips))))
    else:
        with multiprocessing.Pool(num_proc) as pool:
            rows = list(progress(pool.imap(write_one, range(clips), chunksize=16)))
            pool.close()
            pool.join()  # leaving the block terminates workers, and one that handles the signal may hang in it
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([COLUMNS, *rows])
    write_whole(folder / "data_info.csv", table.getvalue())
    _write_marker(folder, arguments, finished=True)
    return folder


def _is_finished(folder: Path, arguments: dict) -> bool:
    """Whether ``folder`` holds this very corpus; False if it is free to be written.

    Raises:
        CorpusError: it holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise CorpusError(f"{folder} is a file; give a folder to write the synthetic corpus into")
    if not folder.exists() or not any(folder.iterdir()):
        return False
    marker = folder / "synthetic.json"
    if not marker.is_file():
        raise CorpusError(
            f"{folder} is not empty and holds no {marker.name}: it is not a synthetic corpus; give an empty folder"
        )
    try:
        written = json.loads(marker.read_text(encoding="utf-8"))
        finished = written.pop("finished")
    except (ValueError, AttributeError, KeyError, TypeError):
        raise CorpusError(f"{marker} is not what write_synthetic_corpus writes; give an empty folder") from None
    if written != arguments:
        raise CorpusError(f"{folder} holds a synthetic corpus of {written}, not of {arguments}; give another folder")
    return finished


def _write_marker(folder: Path, arguments: dict, finished: bool) -> None:
    write_whole(folder / "synthetic.json", json.dumps({**arguments, "finished": finished}, indent=2) + "\n")


@settings
class SyntheticSettings:
    """What the synthetic corpus is made with; what is left out has the default of ``write_synthetic_corpus``."""

    clips: int | None = setting(
        None, "Clips of the synthetic corpus; 2000 by default.", key="synthetic_clips", within=(1, 10**6)
    )
    speakers: int | None = setting(
        None,
        "Speakers of the synthetic corpus, 12 or more; 200 by default.",
        key="synthetic_speakers",
        within=(1, 10**6),
    )
    seed: int | None = setting(
        None,
        "Seed of the synthetic corpus; the training has its own.",
        key="synthetic_seed",
        within=(0, 2**32 - 1),
    )
    speaker_offset: float | None = setting(
        None,
        "Standard deviation of an offset in the label of each emotion that every speaker of the synthetic corpus has, "
        "and that the sound does not tell: for personalisation; 0 by default.",
        key="synthetic_speaker_offset",
        within=(0.0, 1.0),
    )


def _write(data_dir, asked: SyntheticSettings, cache_dir, num_proc: int | None) -> Path:
    """The folder of the synthetic corpus, written if it is not there yet."""
    given = given_settings(asked)
    if data_dir is None:
        made_with = "-".join([f"v{VERSION}", *(f"{name}{value}" for name, value in given.items())])
        data_dir = Path(cache_dir or datasets.config.HF_DATASETS_CACHE) / "burst2vec" / f"synthetic-{made_with}"
    folder = Path(data_dir).expanduser()
    if (folder / EXVO.path).is_file() and not given:
        return folder  # whatever it was made with
    return write_synthetic_corpus(folder, num_proc=num_proc, **given)


CORPUS = Corpus(
    name="synthetic",
    settings=SyntheticSettings,
    builder=lambda folder, asked, cache_dir: open_hume_vb(folder, HumeVBSettings(), cache_dir),
    tasks=lambda asked: TASK_PRESETS["exvo"],
    how_to_get="The synthetic corpus needs no folder: load_bursts('synthetic')",
    card="a corpus of synthetic voices: **its scores say nothing about people**",
    licence="apache-2.0",
    in_challenge=True,
    write=_write,
)
