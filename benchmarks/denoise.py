"""How much noise ``mmse_stsa`` takes from real bursts, and how fast, beside ``noisereduce`` at its defaults.

    python benchmarks/denoise.py EMOGATOR_DIR/data/mp3

Clips of EmoGator, taken for clean, in white noise and in babble, at 0, 5 and 10 dB (mean power of the clip over that of
the noise). The constants of ours were chosen on the first half of the speakers, and the clips here are of the second
half: by turns of speakers and categories, one that has sound in it, which means that its loudest 25 ms reach -30 dBFS
and that 30 % of its frames are within 30 dB of them. Babble is the sum of 8 clips, at one level, of 8 other speakers of
that half; none of them is scored, and each is repeated to fill the mixture and begins anywhere. Every mixture is
processed twice: whole, and cut to its active stretch, as a burst may come without a pause around it.

The score is the gain in segmental SNR: frames of 25 ms, every 12.5 ms; in each 10 log10 of the clean clip's energy over
the error's, held between -10 and 35 dB; the mean over frames. Over all frames, or over the active ones, within 30 dB of
the loudest: in the others there is next to nothing to be right about, and silence itself, printed beside, scores best.
"""

import argparse
import itertools
import os
import random
from pathlib import Path

import noisereduce
import numpy as np
from rounds import describe, ratio, time_by_turns
from tqdm.auto import tqdm

from burst2vec.audio import load_audio, mmse_stsa

RATE = 16_000
FRAME, HOP = 400, 200  # samples: 25 and 12.5 ms
LOWEST, HIGHEST = -10.0, 35.0  # dB, of one frame
NOISES, SNRS = ("white", "babble"), (0, 5, 10)
BABBLERS = 8
CONTESTANTS = {
    "ours": mmse_stsa,
    "noisereduce": lambda waveform: noisereduce.reduce_noise(waveform, RATE),
    "silence": np.zeros_like,
}


def energies(waveform: np.ndarray) -> np.ndarray:
    """Energy of each frame, shape (frames,)."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform.astype(np.float64), FRAME)[::HOP]
    return np.square(frames).sum(axis=1)


def segmental_snrs(clean: np.ndarray, denoised: np.ndarray) -> np.ndarray:
    """SNR of each frame in dB, -10 to 35. A frame without any error has 35, also where the clean clip is silent."""
    signal, error = energies(clean), energies(clean.astype(np.float64) - denoised)
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels = 10 * (np.log10(signal) - np.log10(error))
    return np.where(error == 0, HIGHEST, np.clip(decibels, LOWEST, HIGHEST))


def active_frames(clean: np.ndarray) -> np.ndarray:
    """Which frames are within 30 dB of the loudest."""
    energy = energies(clean)
    return energy > 1e-3 * energy.max()


def has_sound(clip: np.ndarray) -> bool:
    return energies(clip).max() / FRAME > 1e-3 and active_frames(clip).mean() >= 0.3


def choose_clips(folder: Path, count: int) -> tuple[list[Path], dict[str, list[Path]]]:
    """Clips to score, and the clips left to each speaker for babble."""
    files = {}
    for path in sorted(folder.glob("*.mp3")):
        files.setdefault(path.name[:6], []).append(path)
    for speaker in tqdm(sorted(files)[: len(files) // 2 - 1 : -1], desc="with sound", unit="speaker"):
        files[speaker] = [path for path in files[speaker] if has_sound(load_audio(path))]
    speakers = [speaker for speaker in sorted(files)[len(files) // 2 :] if files[speaker]]
    if len(speakers) <= BABBLERS or count > sum(len(files[speaker]) for speaker in speakers) // 2:
        raise SystemExit(f"{folder}: too few clips NNNNNN-EE-I.mp3 for {count} to score and babble of other speakers")
    chosen = []
    for turn in itertools.count():
        if len(chosen) == count:
            return chosen, {speaker: files[speaker] for speaker in speakers}
        place = turn % len(speakers)
        left = files[speakers[place]]
        if len(left) > 1:  # one stays for babble
            wanted = place + 7 * (turn // len(speakers))  # another category each turn, or the next that is there
            chosen.append(min(left, key=lambda path, wanted=wanted: (int(path.name[7:9]) - 1 - wanted) % 30))
            left.remove(chosen[-1])


def babble_for(path: Path, samples: int, others: dict[str, list[Path]], rng: random.Random) -> np.ndarray:
    babble = np.zeros(samples)
    for speaker in rng.sample(sorted(set(others) - {path.name[:6]}), BABBLERS):
        clip = load_audio(rng.choice(others[speaker]))
        turned = np.roll(np.resize(clip, max(samples, clip.size)), rng.randrange(clip.size))[:samples]
        babble += turned / np.sqrt(np.mean(np.square(clip, dtype=np.float64)))
    return babble


def score(paths: list[Path], others: dict[str, list[Path]], seed: int = 0):
    """Gains in dB, by view and condition a list of {contestant: (all frames, active frames)}; what is kept of clean
    clips, SNRs in dB by contestant; and the clips."""
    rng, noise_rng = random.Random(seed), np.random.default_rng(seed)
    gains, kept, clips = {}, {name: [] for name in CONTESTANTS}, []
    for path in tqdm(paths, desc="clips", unit="clip"):
        clean = load_audio(path)
        clips.append(clean)
        for name, call in CONTESTANTS.items():
            error = np.square(clean - call(clean), dtype=np.float64).sum()
            kept[name].append(10 * np.log10(np.square(clean, dtype=np.float64).sum() / error))
        noises = noise_rng.normal(size=clean.size), babble_for(path, clean.size, others, rng)
        active = np.flatnonzero(active_frames(clean)) * HOP
        views = {"whole": slice(None), "cut": slice(active[0], active[-1] + FRAME)}
        for noise, samples in zip(NOISES, noises, strict=True):
            samples = samples * np.sqrt(np.mean(np.square(clean, dtype=np.float64)) / np.mean(np.square(samples)))
            for snr in SNRS:
                mixed = (clean + samples * 10 ** (-snr / 20)).astype(np.float32)
                for view, stretch in views.items():
                    here = clean[stretch], mixed[stretch]
                    gains.setdefault((view, noise, snr), []).append(gains_of(*here))
    return gains, kept, clips


def gains_of(clean: np.ndarray, mixed: np.ndarray) -> dict[str, tuple[float, float]]:
    active = active_frames(clean)
    before = segmental_snrs(clean, mixed)
    gained = {name: segmental_snrs(clean, call(mixed)) - before for name, call in CONTESTANTS.items()}
    return {name: (gain.mean(), gain[active].mean()) for name, gain in gained.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="MP3 files; default: $EMOGATOR_DIR/data/mp3")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(os.environ.get("EMOGATOR_DIR", "."), "data/mp3")
    gains, kept, clips = score(*choose_clips(folder, arguments.clips))

    print(f"\n{len(clips)} clips; mean gain in segmental SNR, dB, of " + ", ".join(CONTESTANTS))
    print(f"{'':16}{'all frames':>26}{'ours - noisereduce':>20}  {'active frames':>26}{'ours - noisereduce':>20}")
    for (view, noise, snr), rows in sorted(gains.items(), key=lambda entry: entry[0][0], reverse=True):
        line = f"{view:6}{noise:7}{snr:3}"
        for frames in (0, 1):
            line += "  " + "".join(f"{np.mean([row[name][frames] for row in rows]):9.2f}" for name in CONTESTANTS)[1:]
            differences = [row["ours"][frames] - row["noisereduce"][frames] for row in rows]
            line += f"{np.mean(differences):12.2f} +- {1.96 * np.std(differences) / len(rows) ** 0.5:.2f}"
        print(line)
    print("left of a clean clip, SNR in dB (median; a tenth have less than):")
    for name in ("ours", "noisereduce"):
        print(f"  {name}: {np.median(kept[name]):.1f}; {np.percentile(kept[name], 10):.1f}")

    some = clips[:20]
    timed = ("ours", "noisereduce")
    contestants = {name: lambda call=CONTESTANTS[name]: [call(clip) for clip in some] for name in timed}
    seconds = time_by_turns(contestants, arguments.rounds)
    sound = sum(clip.size for clip in some) / RATE
    for name, times in seconds.items():
        low, median, high = (1000 * time / sound for time in (min(times), np.median(times), max(times)))
        print(f"{name}: {median:.1f} ms a second of sound (lowest {low:.1f}, highest {high:.1f})")
    print(describe("noisereduce / ours", ratio(seconds, "noisereduce", "ours"), "more than 1"))


if __name__ == "__main__":
    main()
