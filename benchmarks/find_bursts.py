"""How well bursts are found in recordings whose bursts are known, beside silero-vad and an energy threshold.

    python benchmarks/find_bursts.py EmoGator/data/mp3                      # the table
    python benchmarks/find_bursts.py EmoGator/data/mp3 --write recordings   # and the recordings, with their times
    python benchmarks/find_bursts.py EmoGator/data/mp3 --hour               # memory and time of an hour, instead

Recordings of a minute are made of EmoGator's clips, each cut to what is within 25 dB of its loudest 20 ms, at levels
that differ by up to 8 dB, with pauses of 0.7 to 4 s: in digital silence, and in white noise, pink noise and babble at
20, 10 and 5 dB below the bursts' mean level. There is no speech at hand: the babble is of 8 other speakers' bursts, one
after the other.

A burst is found if a region's intersection with it is at least half of their union; F1 counts regions that find none,
and bursts that none finds, the same. Boundary errors are medians of what was found. What the contestants can be told
was chosen on recordings of the first 40 speakers, by the mean F1 over the ten conditions; the table is of the last 20.

- ours: ``find_burst_regions`` at its defaults;
- silero-vad: its probability of speech over a threshold, pauses joined, of the recording at a peak of -3 dBFS;
- energy: frames less than so many dB below the loudest, as ``librosa.effects.split`` has it, pauses joined.
"""

import argparse
import itertools
import random
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from bursts_in_recordings import CONDITIONS, RATE, SECONDS, clips_of_speakers, make_recording, matched
from tqdm.auto import tqdm

from burst2vec.audio import find_burst_regions, normalise_peak
from burst2vec.audio.voice_activity import WINDOW, voice_probabilities

REPORTED = 20  # speakers, the last ones
PAUSES = (0.2, 0.35, 0.5)
SHORTEST = 0.15  # seconds; as ours


def regions_of(active: np.ndarray, step: float, min_pause: float) -> np.ndarray:
    """Runs of active frames, pauses joined, in seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(int), [0]]))).reshape(-1, 2) * step
    joined = []
    for start, end in edges:
        if joined and start - joined[-1][1] < min_pause:
            joined[-1][1] = end
        else:
            joined.append([start, end])
    return np.array([each for each in joined if each[1] - each[0] >= SHORTEST]).reshape(-1, 2)


def energy(waveform: np.ndarray) -> np.ndarray:
    """Level of each 10 ms, in dB below the loudest."""
    frames = waveform[: waveform.size // 160 * 160].reshape(-1, 160)
    levels = 20 * np.log10(np.sqrt(np.square(frames).mean(axis=1)) + 1e-9)
    return levels - levels.max()


CONTESTANTS = {  # what is computed once of a recording; regions of that; and what they can be told
    "ours": (
        lambda waveform: [(each.start, each.end) for each in find_burst_regions(waveform)],
        lambda regions: np.array(regions).reshape(-1, 2),
        [()],
    ),
    "silero-vad": (
        lambda waveform: voice_probabilities(normalise_peak(waveform)),
        lambda probabilities, threshold, pause: regions_of(probabilities >= threshold, WINDOW / RATE, pause),
        list(itertools.product((0.05, 0.1, 0.2, 0.3, 0.5), PAUSES)),
    ),
    "energy": (
        energy,
        lambda levels, below, pause: regions_of(levels >= -below, 0.01, pause),
        list(itertools.product((10, 15, 20, 25, 30, 40), PAUSES)),
    ),
}


def scores(found: list[np.ndarray], recordings) -> dict[str, tuple[float, float, float]]:
    """By condition F1, and the median error of beginnings and of ends, in seconds."""
    by_condition = {}
    for regions, recording in zip(found, recordings, strict=True):
        pairs = matched(regions, recording.times)
        counts = by_condition.setdefault(recording.condition, [0, 0, []])
        counts[0] += 2 * len(pairs)
        counts[1] += len(regions) + len(recording.times)
        counts[2] += [np.abs(regions[here] - recording.times[there]) for here, there in pairs]
    return {
        condition: (both / every, *(np.median(errors, axis=0) if errors else (np.nan, np.nan)))
        for condition, (both, every, errors) in by_condition.items()
    }


def mean_f1(of_all: dict) -> float:
    return statistics.mean(f1 for f1, *_ in of_all.values())


def table(choosing, reporting) -> None:
    measured = {}
    for name, (prepare, regions, choices) in CONTESTANTS.items():
        chosen, best = choices[0], 0.0
        if len(choices) > 1:
            prepared = [prepare(each.waveform) for each in tqdm(choosing, desc=f"{name}, choosing")]
            for choice in choices:
                of_all = scores([regions(each, *choice) for each in prepared], choosing)
                if (mean := mean_f1(of_all)) > best:
                    chosen, best = choice, mean
        found = [regions(prepare(each.waveform), *chosen) for each in tqdm(reporting, desc=name)]
        measured[name if not chosen else f"{name} {chosen}"] = scores(found, reporting)
    bursts = sum(len(each.times) for each in reporting)
    print(f"\n{len(reporting)} recordings of {SECONDS} s, {bursts} bursts of speakers that nothing was chosen on")
    print("F1 at half overlap, and median error of beginning and end in ms")
    print(f"{'':14}" + "".join(f"{name:>28}" for name in measured))
    for condition in CONDITIONS:
        cells = [of_all[condition] for of_all in measured.values()]
        print(f"{condition:14}" + "".join(f"{f1:16.3f} {1000 * a:5.0f} {1000 * b:5.0f}" for f1, a, b in cells))
    print(f"{'mean':14}" + "".join(f"{mean_f1(of_all):16.3f}{'':12}" for of_all in measured.values()))


def hour(recordings) -> None:
    """An hour of them as one FLAC file: seconds and peak memory of finding its bursts, in this process."""
    with tempfile.TemporaryDirectory() as own:
        path = Path(own, "hour.flac")
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for place in range(3_600 // SECONDS):
                file.write(np.clip(recordings[place % len(recordings)].waveform, -1, 1))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        found = find_burst_regions(path)
        took = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"an hour: {len(found)} regions, {took:.1f} s of processor time, peak memory {peak / 1024:.0f} MB, ", end=""
        )
        print(f"{before / 1024:.0f} MB before")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="EmoGator's MP3 files")
    parser.add_argument("--recordings", type=int, default=3, help="of each of the ten conditions")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--write", type=Path, help="a folder for the recordings of the table, as FLAC and Audacity labels"
    )
    parser.add_argument("--hour", action="store_true")
    arguments = parser.parse_args()
    speakers = clips_of_speakers(arguments.folder)
    names = sorted(speakers)
    of_choosing = {name: speakers[name] for name in names[:-REPORTED]}
    of_reporting = {name: speakers[name] for name in names[-REPORTED:]}
    rng = random.Random(arguments.seed)
    if arguments.hour:
        hour([make_recording(condition, of_reporting, rng) for condition in CONDITIONS[::4]])
        return
    made = {}
    for label, chosen in (("reporting", of_reporting), ("choosing", of_choosing)):
        wanted = CONDITIONS * arguments.recordings
        made[label] = [make_recording(each, chosen, rng) for each in tqdm(wanted, desc=f"recordings for {label}")]
    if arguments.write:
        arguments.write.mkdir(parents=True, exist_ok=True)
        for place, recording in enumerate(made["reporting"]):
            stem = f"{place:02d}-{recording.condition.replace(' ', '-')}"
            soundfile.write(arguments.write / f"{stem}.flac", np.clip(recording.waveform, -1, 1), RATE)
            lines = [f"{start:.3f}\t{end:.3f}\tburst\n" for start, end in recording.times]
            (arguments.write / f"{stem}.txt").write_text("".join(lines))
    table(made["choosing"], made["reporting"])


if __name__ == "__main__":
    main()
