"""What a model answers where the same clip is coded, levelled or recorded otherwise: EmoGator's validation clips.

    python benchmarks/robustness.py --data_dir EmoGator                            # the model of the package
    python benchmarks/robustness.py runs/log_mel_cnn --data_dir EmoGator --clips 200

Each validation clip as it is, and again: as an Opus file of 25 kbit/s at 16 kHz made of it; 12 dB louder and softer,
never clipped; with half a second of digital silence before, and behind; and through a telephone, 300 to 3,400 Hz at
8 kHz. Printed are the unweighted average recall, its change against the clips as they are, with the interval that holds
95 % of 2,000 draws of as many speakers (both of the same draw), and of how many clips the most probable class is the
same. Of each further task the score stands there too.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfiltfilt
from tqdm.auto import tqdm

from burst2vec import load_bursts, predict
from burst2vec.audio import resample
from burst2vec.data.clips import read_clip
from burst2vec.data.collating import corpus_labels
from burst2vec.markdown import markdown_table
from burst2vec.prediction import load_pipeline
from burst2vec.scoring.by_speaker import RESAMPLES, score_of, speaker_sums
from burst2vec.shipped_models import DEFAULT_MODEL
from burst2vec.tasks import prediction_columns

RATE = 16_000
BITS_A_SECOND = 25_000
TELEPHONE = (300, 3_400)  # Hz, ITU-T G.712


def as_opus(waveform: np.ndarray) -> bytes:
    """The bytes of an Opus file in Ogg, one channel."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = BITS_A_SECOND
        samples = np.clip(waveform, -1, 1)[None].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()


def by_telephone(waveform: np.ndarray) -> np.ndarray:
    """The band of a telephone, sampled at 8 kHz and back again."""
    narrow = resample(waveform, RATE, RATE // 2)
    band = butter(4, TELEPHONE, "bandpass", fs=RATE // 2, output="sos")
    return resample(sosfiltfilt(band, narrow).astype(np.float32), RATE // 2, RATE)


def recording(waveform: np.ndarray) -> dict:
    return {"array": np.ascontiguousarray(waveform, dtype=np.float32), "sampling_rate": RATE}


def with_silence(before: bool):
    silence = np.zeros(RATE // 2, np.float32)
    return lambda waveform: recording(np.concatenate([silence, waveform] if before else [waveform, silence]))


CONDITIONS = {
    "as it is": recording,
    "Opus, 25 kbit/s": as_opus,
    "12 dB louder": lambda waveform: recording(waveform * 10 ** (12 / 20)),
    "12 dB softer": lambda waveform: recording(waveform * 10 ** (-12 / 20)),
    "0.5 s of silence before": with_silence(before=True),
    "0.5 s of silence behind": with_silence(before=False),
    "telephone, 300-3,400 Hz": lambda waveform: recording(by_telephone(waveform)),
}


def answers(analyse, clips: list, num_proc: int) -> dict[str, np.ndarray]:
    """By task (clips, labels)."""
    table = predict(clips, analyse, on_bad_clip="raise", num_proc=num_proc)
    return {task.name: table[prediction_columns(task)].to_numpy() for task in analyse.model.config.task_records}


def change_interval(task, before, after, labels, speakers, seed: int = 0) -> tuple[float, float]:
    """Of the change of a task's score, with the same speakers drawn for both."""
    sums = [speaker_sums(task, values, labels, speakers) for values in (before, after)]
    count = len(sums[0].speakers)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(float)
    scores = [score_of(np.tensordot(drawn, each.sums, axes=1), each.metric) for each in sums]
    low, high = np.quantile(scores[1] - scores[0], [0.025, 0.975])
    return float(low), float(high)


def compare(task, found: dict[str, dict], labels: np.ndarray, speakers) -> list[tuple]:
    """A row for each condition of what was found for a task."""
    rows, first = [], found["as it is"][task.name]
    for condition, of_tasks in found.items():
        values = of_tasks[task.name]
        score = float(score_of(speaker_sums(task, values, labels, speakers).sums.sum(axis=0), task.metric))
        if values is first:
            whole = score
            rows.append((condition, f"{score:.3f}", "", "", ""))
            continue
        low, high = change_interval(task, first, values, labels, speakers)
        same = ""
        if task.kind == "classification":
            same = f"{100 * np.mean(values.argmax(axis=1) == first.argmax(axis=1)):.1f} %"
        rows.append((condition, f"{score:.3f}", f"{score - whole:+.3f}", f"{low:+.3f} to {high:+.3f}", same))
    return rows


def main(arguments: list[str] | None = None) -> dict[str, list[tuple]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=DEFAULT_MODEL, help=f"a run (default: {DEFAULT_MODEL})")
    parser.add_argument("--data_dir", required=True, type=Path, help="EmoGator's folder, with MP3 files")
    parser.add_argument("--clips", type=int, help="every so manieth, so that this many are left (default: all)")
    parser.add_argument("--num_proc", type=int, default=1)
    options = parser.parse_args(arguments)
    analyse = load_pipeline(options.model)
    clips = load_bursts("emogator", data_dir=str(options.data_dir))["validation"]
    if options.clips is not None:
        clips = clips.select(range(0, len(clips), max(1, len(clips) // options.clips)))
    speakers = clips["speaker"][:]
    labels = corpus_labels(clips, analyse.model.config.task_records)
    rows = clips.select_columns(["file_id", "audio"])
    waveforms = [read_clip(row["audio"], row["file_id"]) for row in tqdm(rows, "Reading clips", unit="clip")]
    found = {
        condition: answers(analyse, [change(waveform) for waveform in waveforms], options.num_proc)
        for condition, change in CONDITIONS.items()
    }
    print(f"{options.model}: {len(clips):,} clips of {len(set(speakers)):,} speakers")
    tables = {}
    for task in analyse.model.config.task_records:
        header = ("clips", task.score_name, "change", "95 %", "same class" if task.kind == "classification" else "")
        tables[task.name] = compare(task, found, labels[task.name], speakers)
        print(f"\n{markdown_table([header, *tables[task.name]], '<>>>>')}")
    return tables


if __name__ == "__main__":
    main()
